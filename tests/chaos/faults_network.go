package chaos

import (
	"context"
	"fmt"

	"keepalived-charm/tests/lab"
	"keepalived-charm/tests/machine"
)

// networkFaults are about interfaces, addresses and cables.
func networkFaults() []Fault {
	stripped := bounds(2, 0.5, 6)
	network := []Fault{
		{Name: "systemd-networkd takes the interface over and strips foreign addresses", Bounds: bounds(4, 0.5, 60),
			Inject: startNetworkd(""), Restore: stopNetworkd},
		{Name: "systemd-networkd with KeepConfiguration=yes takes the interface over", Bounds: stripped,
			Inject: startNetworkd("KeepConfiguration=yes"), Restore: stopNetworkd},
	}
	cable := bounds(2, 1, 2)
	return append(network, []Fault{
		{Name: "virtual IP is deleted by hand", Bounds: stripped, Inject: script("ip address flush to " + lab.VIP.String())},
		{Name: "all addresses of the interface are flushed for 3 s", Bounds: bounds(2, 0.5, 6), Lasts: seconds(3),
			Inject: script("ip address flush dev eth0"), Recover: readdress},
		{Name: "virtual IP is added by hand on a standby", Standby: true, Bounds: bounds(4, 10, 10),
			Inject: script("ip address add " + lab.VIP.String() + "/32 dev eth0")},
		{Name: "cable is out for 3 s (no carrier)", Bounds: cable, Lasts: seconds(3),
			Inject:  one(func(ctx context.Context, m *machine.Machine) error { return m.LinkDown(ctx) }),
			Recover: one(func(ctx context.Context, m *machine.Machine) error { return m.LinkUp(ctx) })},
		{Name: "interface is set down for 3 s", Bounds: cable, Lasts: seconds(3), Telling: true, Inject: script("ip link set eth0 down"), Recover: readdress},
		{Name: "interface goes down and up at once", Bounds: cable, Inject: all(script("ip link set eth0 down"), readdress)},
		{Name: "partition: holder alone for 5 s (carrier stays)", Bounds: bounds(2, 7, 2), Lasts: seconds(5), Telling: true, Inject: one(partition), Recover: one(rejoin)},
		{Name: "partition: a standby alone for 5 s (carrier stays)", Standby: true, Bounds: bounds(2, 7, 2), Lasts: seconds(5), Inject: one(partition), Recover: one(rejoin)},
		{Name: "partition: every machine alone for 5 s", Bounds: bounds(7, 7, 2), Lasts: seconds(5), Inject: everyone(one(partition)), Recover: everyone(one(rejoin))},
	}...)
}

// lossFaults are about packets that do not arrive though the carrier stays.
func lossFaults() []Fault {
	lose := func(from, to int) Act {
		return one(func(ctx context.Context, m *machine.Machine) error { return m.Lose(ctx, from, to) })
	}
	return []Fault{
		{Name: "one-way loss: nobody hears the holder for 5 s", Bounds: bounds(7, 7, 2), Lasts: seconds(5), Telling: true, Inject: lose(100, 0), Recover: lose(0, 0)},
		{Name: "one-way loss: the holder hears nobody for 5 s", Bounds: bounds(7, 7, 2), Lasts: seconds(5), Inject: lose(0, 100), Recover: lose(0, 0)},
		{Name: "one-way loss: a standby hears nobody for 5 s", Standby: true, Bounds: bounds(7, 7, 2), Lasts: seconds(5), Inject: lose(0, 100), Recover: lose(0, 0)},
		{Name: "10 % of the holder's packets are lost for 10 s", Bounds: bounds(4, 4, 3), Lasts: seconds(10), Inject: lose(10, 10), Recover: lose(0, 0)},
		{Name: "30 % of the holder's packets are lost for 10 s", Bounds: bounds(4, 4, 3), Lasts: seconds(10), Inject: lose(30, 30), Recover: lose(0, 0)},
		{Name: "30 % of all packets are lost for 10 s", Bounds: bounds(6, 6, 3), Lasts: seconds(10), Inject: everyone(lose(30, 30)), Recover: everyone(lose(0, 0))},
	}
}

// readdress does what whoever manages the network does: up, addresses, routes.
func readdress(ctx context.Context, s *Stage) error {
	m, err := s.target()
	if err != nil {
		return err
	}
	p := m.Port()
	return s.on(ctx, fmt.Sprintf(`ip link set eth0 up
ip address replace %s dev eth0
ip address replace %s dev eth0 nodad
ip route replace default via 10.10.74.1
ip -6 route replace default via fd00:74::1`, p.IPv4, p.IPv6), s.Target)
}

// startNetworkd hands the interface over to systemd-networkd, with one more setting
// of its network.
func startNetworkd(setting string) Act {
	return func(ctx context.Context, s *Stage) error {
		m, err := s.target()
		if err != nil {
			return err
		}
		p := m.Port()
		config := fmt.Sprintf("[Match]\nName=eth0\n[Network]\nAddress=%s\nAddress=%s\nGateway=10.10.74.1\nGateway=fd00:74::1\nIPv6AcceptRA=no\n%s\n", p.IPv4, p.IPv6, setting)
		if err := m.WriteFile(ctx, "/etc/systemd/network/10-eth0.network", []byte(config), 0o644); err != nil {
			return err
		}
		// networkd 252 may abort when keepalived puts back what it removes; systemd starts
		// it again.
		return s.on(ctx, "rm -f /etc/systemd/system/systemd-networkd.service; systemctl daemon-reload; systemctl --no-block start systemd-networkd", s.Target)
	}
}

func stopNetworkd(ctx context.Context, s *Stage) error {
	err := s.on(ctx, `systemctl stop systemd-networkd.socket systemd-networkd.service 2>/dev/null || true
systemctl reset-failed
rm -f /etc/systemd/network/10-eth0.network
ln -sf /dev/null /etc/systemd/system/systemd-networkd.service
systemctl daemon-reload`, s.Target)
	if err != nil {
		return err
	}
	return readdress(ctx, s)
}
