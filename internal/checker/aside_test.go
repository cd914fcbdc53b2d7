package checker

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"keepalived-charm/internal/needs"
	"keepalived-charm/internal/vrrp"
)

// otherMachine is a network namespace with a cable to eth0 of a checker's, which has
// 192.0.2.1 and fd00:2::1 there.
func otherMachine(t *testing.T, p *process, addresses ...string) *process {
	t.Helper()
	m := &process{Cmd: exec.Command("sleep", "60"), t: t}
	m.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}
	require.NoError(t, m.Start())
	t.Cleanup(func() {
		m.Process.Kill()
		m.Wait()
	})
	p.inNamespace(func() error {
		err := netlink.LinkAdd(&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "eth0"}, PeerName: "eth0", PeerNamespace: netlink.NsPid(m.Process.Pid)})
		if err != nil {
			return err
		}
		return wired("192.0.2.1/24", "fd00:2::1/64")
	})
	m.inNamespace(func() error { return wired(append(addresses, "192.0.2.2/24", "fd00:2::2/64")...) })
	return m
}

// wired sets eth0 up with addresses.
func wired(addresses ...string) error {
	if err := os.WriteFile("/proc/sys/net/ipv6/conf/eth0/accept_dad", []byte("0"), 0); err != nil {
		return err
	}
	link, err := netlink.LinkByName("eth0")
	if err != nil {
		return err
	}
	for _, address := range addresses {
		a, err := netlink.ParseAddr(address)
		if err != nil {
			return err
		}
		a.Flags = unix.IFA_F_NODAD
		if err := netlink.AddrAdd(link, a); err != nil {
			return err
		}
	}
	return netlink.LinkSetUp(link)
}

// drops makes a machine drop what comes to its TCP ports.
func (p *process) drops() {
	p.t.Helper()
	out, err := exec.Command("nsenter", "--net=/proc/"+fmt.Sprint(p.Process.Pid)+"/ns/net", "nft",
		"add table inet t; add chain inet t in { type filter hook input priority 0; }; add rule inet t in meta l4proto tcp drop").CombinedOutput()
	require.NoError(p.t, err, "%s", out)
}

// TestAHolderThatDropsWhatComesToThePortLives: a firewall, a full queue or a service
// that is no TCP looks like a death at the port only.
func TestAHolderThatDropsWhatComesToThePortLives(t *testing.T) {
	needs.Root(t)
	for claim, vip := range map[string]string{"IPv4": "192.0.2.10", "IPv6": "fd00:2::10", "in no subnet of this machine": "198.51.100.10", "IPv6 in no subnet": "fd00:3::10",
		"one that has another of its virtual IPs": "192.0.2.11"} {
		t.Run(claim, func(t *testing.T) {
			t.Parallel()
			c := localConfig(t)
			a := netip.MustParseAddr(vip)
			c.Links, c.Instances[0].Aside, c.Instances[0].Watch = []string{"eth0"}, "for the test", netip.AddrPortFrom(a, 443).String()
			if slices.Contains(c.Instances[0].Addresses, a) {
				c.Instances[0].Watch = "192.0.2.10:443"
			}
			p := start(t, c)
			p.becomes(vrrp.StepAside)
			address := netip.PrefixFrom(a, a.BitLen()).String()
			holder := otherMachine(t, p, address)
			holder.drops()
			time.Sleep(deadByDefault + 1500*time.Millisecond)
			require.Equal(t, trackText(vrrp.StepAside), p.track(), "it answers who has the address")

			lost := time.Now()
			holder.inNamespace(func() error {
				link, err := netlink.LinkByName("eth0")
				if err != nil {
					return err
				}
				// The checker's kernel goes on to think that it knows where the address is.
				return netlink.AddrDel(link, &netlink.Addr{IPNet: netlink.NewIPNet(a.AsSlice())})
			})
			p.becomes(healthyStandby)
			require.Greater(t, time.Since(lost), deadByDefault-2*watchTimeout, "not before it was silent for long enough")
		})
	}
}

// TestAProxyIsNoSignOfLife: one that answers by ARP for every address, as some routers
// and clouds do, would keep the unit aside for good when the holder is dead.
func TestAProxyIsNoSignOfLife(t *testing.T) {
	needs.Root(t)
	t.Parallel()
	c := localConfig(t)
	c.Links, c.Instances[0].Aside, c.Instances[0].Watch = []string{"eth0"}, "for the test", "192.0.2.10:443"
	p := start(t, c)
	p.becomes(vrrp.StepAside)
	proxy := otherMachine(t, p)
	proxy.drops()
	proxy.inNamespace(func() error {
		lo, err := netlink.LinkByName("lo")
		if err != nil {
			return err
		}
		if err := netlink.LinkSetUp(lo); err != nil {
			return err
		}
		// Linux answers for all addresses of a local route.
		_, subnet, err := net.ParseCIDR("192.0.2.0/24")
		if err != nil {
			return err
		}
		return netlink.RouteAdd(&netlink.Route{Dst: subnet, LinkIndex: lo.Attrs().Index, Type: unix.RTN_LOCAL, Table: unix.RT_TABLE_LOCAL, Scope: netlink.SCOPE_HOST})
	})
	p.becomes(healthyStandby)
}

// TestAnAddressOfThisMachinesOwnerIsNoSignOfLife: a real server of LVS has the virtual IP on
// lo, where a connection ends that is to tell of the holder. Others are asked all the same.
func TestAnAddressOfThisMachinesOwnerIsNoSignOfLife(t *testing.T) {
	needs.Root(t)
	for claim, vip := range map[string]string{"IPv4": "192.0.2.10/32", "IPv6": "fd00:2::10/128"} {
		t.Run(claim, func(t *testing.T) {
			t.Parallel()
			c, a := localConfig(t), netip.MustParsePrefix(vip).Addr()
			c.Links, c.Instances[0].Aside, c.Instances[0].Watch = []string{"eth0"}, "for the test", netip.AddrPortFrom(a, 443).String()
			if slices.Contains(c.Instances[0].Addresses, a) {
				c.Instances[0].Watch = "192.0.2.10:443"
			}
			p := start(t, c)
			p.becomes(vrrp.StepAside)
			p.inNamespace(func() error {
				copied, err := netlink.ParseAddr(vip)
				if err != nil {
					return err
				}
				lo, err := netlink.LinkByName("lo")
				if err != nil {
					return err
				}
				return errors.Join(netlink.AddrAdd(lo, copied), netlink.LinkSetUp(lo))
			})
			holder := otherMachine(t, p, vip)
			time.Sleep(deadByDefault + 1500*time.Millisecond)
			require.Equal(t, trackText(vrrp.StepAside), p.track(), "another has it")
			holder.inNamespace(func() error {
				link, err := netlink.LinkByName("eth0")
				if err != nil {
					return err
				}
				return netlink.AddrDel(link, &netlink.Addr{IPNet: netlink.NewIPNet(a.AsSlice())})
			})
			p.becomes(healthyStandby)
		})
	}
}

// TestAUnitWithoutItsNetworkSeesNobodyDie: one whose network comes up after it booted stood
// aside for that long, and would be a second holder. A network of other virtual IPs (eth1 never
// comes) does not count.
func TestAUnitWithoutItsNetworkSeesNobodyDie(t *testing.T) {
	needs.Root(t)
	needs.Time(t)
	t.Parallel()
	c := booting(t)
	c.Links, c.Instances[0].Watch, c.Instances[0].WatchLink = []string{"eth0", "eth1"}, "192.0.2.10:443", "eth0"
	p := start(t, c)
	p.becomes(vrrp.StepAside)
	time.Sleep(deadByDefault + time.Second)
	require.Equal(t, trackText(vrrp.StepAside), p.track(), "there is no such interface yet")
	holder := otherMachine(t, p, "192.0.2.10/32")
	down := func(m *process) {
		m.inNamespace(func() error {
			link, err := netlink.LinkByName("eth0")
			if err != nil {
				return err
			}
			return netlink.LinkSetDown(link)
		})
	}
	down(holder)
	time.Sleep(deadByDefault + time.Second)
	require.Equal(t, trackText(vrrp.StepAside), p.track(), "it has no carrier")
	holder.inNamespace(func() error { return wired("192.0.2.12/32") })
	time.Sleep(deadByDefault + time.Second)
	require.Equal(t, trackText(vrrp.StepAside), p.track(), "somebody has it")
	holder.inNamespace(func() error {
		link, err := netlink.LinkByName("eth0")
		if err != nil {
			return err
		}
		return netlink.AddrDel(link, &netlink.Addr{IPNet: netlink.NewIPNet(net.IPv4(192, 0, 2, 10).To4())})
	})
	p.becomes(healthyStandby)
}

// TestAHolderThatIsHeardLives: by advertisements alone.
func TestAHolderThatIsHeardLives(t *testing.T) {
	needs.Root(t)
	t.Parallel()
	c := localConfig(t)
	c.Links, c.Instances[0].Aside, c.Instances[0].Watch = []string{"eth0"}, "for the test", "192.0.2.10:443"
	c.Instances[0].VirtualRouterID = 23
	p := start(t, c)
	p.becomes(vrrp.StepAside)
	holder := otherMachine(t, p).advertiser("192.0.2.1", vrrp.HopLimit)
	for began := time.Now(); time.Since(began) < deadByDefault+1500*time.Millisecond; time.Sleep(200 * time.Millisecond) {
		holder.says(254, 0)
	}
	require.Equal(t, trackText(vrrp.StepAside), p.track())
	holder.says(0, 0)
	p.becomes(healthyStandby)
}
