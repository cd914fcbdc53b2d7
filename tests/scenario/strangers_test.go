package scenario_test

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"keepalived-charm/tests/lab"
	"keepalived-charm/tests/machine"
	"keepalived-charm/tests/patience"
	"keepalived-charm/tests/poll"
)

// stranger is a host on the lab's segment that is no unit of anything.
type stranger struct {
	d    *deployment
	port *machine.Port
}

func (d *deployment) stranger(t *testing.T) stranger {
	t.Helper()
	port, err := d.Net.Network.Plug(d.ctx, "stranger")
	require.NoError(t, err)
	return stranger{d, port}
}

// name is what a status calls the stranger.
func (s stranger) name(t *testing.T) string {
	return s.port.IPv4.Addr().String() + " (" + s.mac(t) + ")"
}

func (s stranger) mac(t *testing.T) string {
	t.Helper()
	var links []struct {
		Address string `json:"address"`
	}
	require.NoError(t, json.Unmarshal([]byte(s.do(t, "ip", "-json", "link", "show", "eth0")), &links))
	return links[0].Address
}

// do runs a program at the stranger's place.
func (s stranger) do(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := s.d.Net.CommandAt(s.d.ctx, s.port, name, args...).CombinedOutput()
	require.NoError(t, err, "%s %v: %s", name, args, out)
	return string(out)
}

// take gives the stranger an address, leave takes it away.
func (s stranger) take(t *testing.T, a netip.Addr) {
	t.Helper()
	args := []string{"address", "add", fmt.Sprintf("%s/%d", a, a.BitLen()), "dev", "eth0"}
	if a.Is6() {
		args = append(args, "nodad")
	}
	s.do(t, "ip", args...)
}

func (s stranger) leave(t *testing.T, a netip.Addr) {
	t.Helper()
	s.do(t, "ip", "address", "del", fmt.Sprintf("%s/%d", a, a.BitLen()), "dev", "eth0")
}

// keepalived starts Debian's keepalived at the stranger's place and returns what
// stops it.
func (s stranger) keepalived(t *testing.T, version, id int, interval float64) (stop func()) {
	t.Helper()
	dir := t.TempDir()
	file := func(name string) string { return filepath.Join(dir, name) }
	require.NoError(t, os.WriteFile(file("conf"), []byte(fmt.Sprintf(`vrrp_instance stranger {
    interface eth0
    version %d
    virtual_router_id %d
    priority 255
    advert_int %v
    virtual_ipaddress {
        10.10.74.222
    }
}
`, version, id, interval)), 0o600))
	cmd := s.d.Net.CommandAt(s.d.ctx, s.port, "keepalived", "--dont-fork", "--use-file", file("conf"),
		"--pid", file("pid"), "--vrrp_pid", file("vrrp"), "--checkers_pid", file("checkers"), "--log-console")
	require.NoError(t, cmd.Start())
	poll.Until(t, func() bool {
		return strings.Contains(s.do(t, "ip", "address", "show", "dev", "eth0"), "10.10.74.222")
	}, 20*time.Second, 50*time.Millisecond, "it becomes MASTER")
	return func() {
		t.Helper()
		require.NoError(t, cmd.Process.Signal(syscall.SIGTERM))
		_ = cmd.Wait() // keepalived ends with a status of its own
	}
}

// yieldsToStrangers tells that the machines' keepalived, 2.3.3 or later, follows whoever
// advertises a higher priority, whatever the addresses.
func (d *deployment) yieldsToStrangers(t *testing.T, id string) bool {
	t.Helper()
	var major, minor, patch int
	text := d.run(t, id, "keepalived --version 2>&1 | head -n 1")
	_, err := fmt.Sscanf(text, "Keepalived v%d.%d.%d", &major, &minor, &patch)
	require.NoError(t, err, text)
	return slices.Compare([]int{major, minor, patch}, []int{2, 3, 3}) >= 0
}

// filter puts rules of nftables on a machine; none removes them.
func (d *deployment) filter(t *testing.T, id string, rules ...string) {
	t.Helper()
	m, err := d.Machine(id)
	require.NoError(t, err)
	script := "add table inet lab; delete table inet lab"
	if len(rules) > 0 {
		script += "; add table inet lab; add chain inet lab in { type filter hook input priority 0; }; add chain inet lab out { type filter hook output priority 0; }"
		for _, r := range rules {
			script += "; add rule inet lab " + r
		}
	}
	out, err := d.Net.CommandAt(d.ctx, m.Port(), "nft", script).CombinedOutput()
	require.NoError(t, err, "%s", out)
}

// recovers lets every unit run one hook, after which all is well again.
func (d *deployment) recovers(t *testing.T) (holder string) {
	t.Helper()
	d.updateStatus(t)
	holder = d.ready(t)
	d.updateStatus(t)
	d.truthful(t, holder)
	return holder
}

func TestStrangers(t *testing.T) {
	t.Parallel()
	d := newDeployment(t)
	require.NoError(t, d.Deploy(d.ctx, "haproxy", "haproxy", 2, nil))
	s := d.stranger(t)
	d.scenario(t, "a unit does not take an address that a stranger has, nor an ID that a stranger advertises", func(t *testing.T) {
		s.take(t, lab.VIP)
		d.beside(t, "keepalived", serving())
		d.allSay(t, "blocked", "virtual_ip 10.10.74.250 is answered by "+s.mac(t)+": take it from that host, or configure another")
		require.Empty(t, d.holders(lab.VIP))
		stop := s.keepalived(t, 3, 23, 1)
		s.leave(t, lab.VIP)
		d.updateStatus(t)
		d.allSay(t, "blocked", "router_id 23 is used by "+s.name(t)+": try juju config keepalived router_id=24")
		results := d.act(t, d.units()[0], "check-network", nil)
		t.Log(results)
		require.Contains(t, results["summary"], "1 conflict: router_id 23 is used by "+s.name(t))
		require.Equal(t, "24", results["free-router-id"])
		require.Contains(t, results["virtual-routers"], "23: version 3, priority 255, every 1s, from "+s.name(t))
		require.Empty(t, d.holders(lab.VIP))
		stop()
		d.recovers(t)
	})
	holder := d.ready(t)
	d.proxied(t, s, holder)
	d.changes(t, s, holder)
	d.later(t, s)
	d.deaf(t, d.ready(t))
}

// answersForAll has the stranger answer by ARP for all addresses of the subnet but the
// machines' own, as a router does that is a proxy; the returned function ends it.
func (s stranger) answersForAll(t *testing.T) (end func()) {
	t.Helper()
	// Linux answers for all addresses of a local route.
	local := func(verb string) { s.do(t, "ip", "route", verb, "local", s.port.IPv4.Masked().String(), "dev", "lo") }
	ports := []*machine.Port{s.d.Net.Client()}
	for _, m := range s.d.Net.Machines() {
		ports = append(ports, m.Port())
	}
	for _, p := range ports {
		s.do(t, "ip", "route", "replace", "unicast", p.IPv4.Addr().String(), "dev", "eth0", "table", "local")
	}
	local("add")
	return func() {
		t.Helper()
		local("del")
		for _, p := range ports {
			s.do(t, "ip", "route", "del", "unicast", p.IPv4.Addr().String(), "dev", "eth0", "table", "local")
		}
	}
}

// proxied is a proxy on the segment.
func (d *deployment) proxied(t *testing.T, s stranger, holder string) {
	d.scenario(t, "who answers by ARP for every address is taken for no owner of a virtual IP", func(t *testing.T) {
		end := s.answersForAll(t)
		d.configure(t, option(otherVIP))
		d.settled(t)
		d.allSay(t, "active", "VIP ready: ")
		require.Equal(t, []string{"juju-" + holder}, d.holders(otherVIP))
		results := d.act(t, d.unitOn(t, holder), "check-network", nil)
		t.Log(results)
		require.Contains(t, results["summary"], "nothing is wrong")
		require.Contains(t, results["notes"], s.mac(t))
		require.Contains(t, results["notes"], " answers on eth0 for addresses that nobody has, as a proxy does: who has a virtual IP is not told by it")
		end()
		require.NoError(t, d.Net.ClientCommand(d.ctx, "ip", "neighbour", "flush", "all").Run())
		d.configure(t, option(lab.VIP))
		d.settled(t)
		d.truthful(t, holder)
	})
}

// changes are conflicts of options that are changed later.
func (d *deployment) changes(t *testing.T, s stranger, holder string) {
	d.scenario(t, "a virtual router ID that a stranger advertises, with VRRP version 2, is not moved to", func(t *testing.T) {
		stop := s.keepalived(t, 2, 77, 1)
		m := d.measure(t, time.Second, func() {
			d.configure(t, "router_id=77")
			d.settled(t)
			d.saysExactly(t, d.unitOn(t, holder), "blocked: router_id 77 is used by "+s.name(t)+": try juju config keepalived router_id=78; meanwhile VIP ready: holds 10.10.74.250")
			stop()
			d.updateStatus(t)
			d.settled(t)
		})
		unnoticed(t, m)
		d.truthful(t, holder)
	})
	d.scenario(t, "a virtual IP of either family that a stranger has is not taken", func(t *testing.T) {
		four, six := netip.MustParseAddr("10.10.74.251"), netip.MustParseAddr("fd00:74::251")
		s.take(t, four)
		s.take(t, six)
		m := d.measure(t, time.Second, func() {
			d.configure(t, option(lab.VIP, four, six))
			d.settled(t)
			d.allSay(t, "blocked", "virtual_ip 10.10.74.251 is answered by ")
			s.leave(t, four)
			d.updateStatus(t)
			d.allSay(t, "blocked", "virtual_ip fd00:74::251 is answered by ")
			require.Contains(t, d.workload(t, d.unitOn(t, holder)).Message, s.mac(t))
			s.leave(t, six)
			d.updateStatus(t)
			require.Equal(t, []string{"juju-" + holder}, d.holders(six))
			d.configure(t, option(lab.VIP))
			d.settled(t)
		})
		unnoticed(t, m)
		d.truthful(t, holder)
	})
}

// later are strangers that come while the units serve.
func (d *deployment) later(t *testing.T, s stranger) {
	if d.yieldsToStrangers(t, d.ready(t)) {
		d.usurped(t, s)
	} else {
		d.crowded(t, s)
	}
	d.scenario(t, "a stranger that takes the virtual IP later is told of, and nothing moves", func(t *testing.T) {
		holder := d.ready(t)
		unit := d.unitOn(t, holder)
		s.take(t, lab.VIP)
		results := d.act(t, unit, "check-network", nil)
		t.Log(results)
		require.Contains(t, results["conflicts"], "virtual_ip 10.10.74.250 is answered by "+s.mac(t))
		d.saysExactly(t, unit, "active: VIP ready: holds 10.10.74.250; 10.10.74.250 is answered by "+s.mac(t)+" too: take it from that host")
		s.leave(t, lab.VIP)
		d.updateStatus(t)
		d.truthful(t, holder)
		results = d.act(t, unit, "check-network", nil)
		require.Contains(t, results["summary"], "nothing is wrong")
	})
}

// usurped are units whose keepalived follows a stranger.
func (d *deployment) usurped(t *testing.T, s stranger) {
	d.scenario(t, "a stranger that takes the virtual router is told of within seconds, and when it goes", func(t *testing.T) {
		// No hook is due: the health checkers hear it. The stranger's keepalived is this
		// host's, which drops what the units send: with a longer interval than theirs each
		// of theirs would put its own off.
		stop := s.keepalived(t, 3, 77, 0.1)
		d.allSay(t, "blocked", "nobody holds 10.10.74.250: "+s.name(t)+" has taken router_id 77: try juju config keepalived router_id=78")
		require.Empty(t, d.holders(lab.VIP))
		for _, unit := range d.units() {
			require.Equal(t, "unknown", d.act(t, unit, "status", nil)["vip-1-holder"])
		}
		stop()
		poll.Until(t, func() bool { return len(d.holders(lab.VIP)) == 1 }, 20*time.Second, 50*time.Millisecond)
		d.allSay(t, "active", "VIP ready: ")
		d.recovers(t)
	})
}

// crowded are units whose keepalived drops a stranger's advertisements.
func (d *deployment) crowded(t *testing.T, s stranger) {
	d.scenario(t, "a stranger that comes later and advertises more often is told of", func(t *testing.T) {
		// The holder drops its advertisements, and each puts the holder's own off: its
		// standbys hear nothing any more.
		stop := s.keepalived(t, 3, 77, 0.1)
		told := func(unit string) bool {
			return strings.Contains(d.workload(t, unit).Message, "; router_id 77 is used by "+s.name(t)+" too: try juju config keepalived router_id=78")
		}
		// How often the standbys hold for a moment is up to the three senders' phases.
		for end := time.Now().Add(patience.With(30 * time.Second)); slices.ContainsFunc(d.units(), func(unit string) bool { return !told(unit) }) && time.Now().Before(end); {
			d.updateStatus(t)
		}
		for _, unit := range d.units() {
			require.True(t, told(unit), "%s: %s", unit, d.workload(t, unit).Message)
		}
		stop()
		poll.Until(t, func() bool { return len(d.holders(lab.VIP)) == 1 }, 20*time.Second, 50*time.Millisecond)
		d.recovers(t)
	})
}

// deaf are units that do not get each other's advertisements.
func (d *deployment) deaf(t *testing.T, holder string) {
	const drop = "ip protocol 112 drop"
	d.scenario(t, "two that hold because protocol 112 is blocked say so, and why", func(t *testing.T) {
		deaf := d.standbys(t, holder)[0]
		d.filter(t, deaf, "in "+drop, "out "+drop)
		poll.Until(t, func() bool { return len(d.holders(lab.VIP)) == 2 }, 20*time.Second, 50*time.Millisecond)
		told := map[string]string{
			d.unitOn(t, deaf): "active: VIP ready: holds 10.10.74.250; " + d.unitOn(t, holder) +
				" holds 10.10.74.250 too, this machine's packet filter drops its advertisements: allow IP protocol 112, see nft list ruleset",
			d.unitOn(t, holder): "active: VIP ready: holds 10.10.74.250; " + d.unitOn(t, deaf) +
				" holds 10.10.74.250 too, its advertisements do not arrive here: allow IP protocol 112 between the machines",
		}
		// A look of 0.4 s may miss what a busy host sends late; the next hook looks again.
		says := func(unit string) bool { s := d.workload(t, unit); return s.Current+": "+s.Message == told[unit] }
		for end := time.Now().Add(patience.With(30 * time.Second)); time.Now().Before(end) && (!says(d.unitOn(t, deaf)) || !says(d.unitOn(t, holder))); {
			d.updateStatus(t)
		}
		for unit, want := range told {
			d.saysExactly(t, unit, want)
		}
		d.filter(t, deaf)
		poll.Until(t, func() bool { return len(d.holders(lab.VIP)) == 1 }, 20*time.Second, 50*time.Millisecond)
		d.recovers(t)
	})
	d.scenario(t, "a new unit that would not hear the holder takes no part", func(t *testing.T) {
		holder := d.ready(t)
		id := d.newMachine(t)
		d.filter(t, id, "in "+drop)
		require.NoError(t, d.AddUnit("haproxy", id))
		d.settled(t)
		d.saysExactly(t, d.unitOn(t, id), "blocked: "+d.unitOn(t, holder)+
			" holds 10.10.74.250, this machine's packet filter drops its advertisements: allow IP protocol 112, see nft list ruleset")
		require.Equal(t, []string{"juju-" + holder}, d.holders(lab.VIP))
		d.filter(t, id)
		require.Equal(t, holder, d.recovers(t))
	})
}
