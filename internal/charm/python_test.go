package charm_test

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"keepalived-charm/internal/charmtest"
	"keepalived-charm/internal/endpoint"
	"keepalived-charm/internal/facts"
	"keepalived-charm/internal/juju"
	"keepalived-charm/internal/layout"
	"keepalived-charm/internal/step"
)

// pythonConf is the Python charm's keepalived.conf.
const pythonConf = `vrrp_script chk_svc_port {
    script "bash -c '</dev/tcp/127.0.0.1/443'"
    interval 2
    weight 2
}

vrrp_instance VI_1 {
    interface eth0
    state BACKUP
    virtual_router_id 23
    priority 100
    virtual_ipaddress {
        10.10.74.250/24
    }
    track_script {
        chk_svc_port
    }
}`

// python is a unit of the Python charm, one of three, right before it is upgraded.
func python(n int) charmtest.State {
	s := charmtest.NewState(n)
	s.Juju.Planned = 3
	s.Juju.Options["virtual_ip"] = "10.10.74.250/24"
	s.Host.Installed, s.Host.Leftovers = true, true
	s.Host.Files[layout.MainFile] = pythonConf
	s.Host.Files[layout.SysctlFile] = "\nnet.ipv4.ip_nonlocal_bind=1\n"
	s.Host.Settings["net.ipv4.ip_nonlocal_bind"] = "1"
	s.Host.Keepalived = charmtest.Daemon{Running: true, Loaded: pythonConf}
	return s
}

// speaksAsPython requires what units of the Python charm understand and, whatever
// state they are in, do not pre-empt or lose to without a reason.
func speaksAsPython(t *testing.T, s charmtest.State, hint string) {
	t.Helper()
	if s.Host.Keepalived.Loaded == pythonConf {
		return // not reloaded yet
	}
	loaded := s.Host.Keepalived.Loaded
	for _, line := range []string{"version 2\n", "virtual_router_id 23\n", "advert_int 1\n", "priority 100\n",
		"virtual_ipaddress {\n        10.10.74.250/32 dev eth0\n"} {
		require.Contains(t, loaded, line, hint)
	}
	require.NotContains(t, loaded, "virtual_ipaddress_excluded", hint)
	if c := s.Host.Checkers["keepalived"]; c.Running {
		require.Contains(t, c.Config, `"mixed": true`, hint)
		require.Contains(t, c.Config, `"peers": true`, hint)
	}
}

// TestAnUpgradeFromThePythonCharm upgrades three units in random order, with hooks
// that die at any step and others that come between. As long as one unit is not
// upgraded all speak as the Python charm does; then they change over together.
func TestAnUpgradeFromThePythonCharm(t *testing.T) {
	t.Parallel()
	walks(10, func(seed uint64) {
		r := rand.New(rand.NewPCG(seed, 5))
		g := units{units: map[int]charmtest.State{}}
		holder := r.IntN(3)
		for _, n := range r.Perm(3) {
			s := python(n)
			s.Host.Holds = n == holder
			g.units[n] = s
			hint := fmt.Sprintf("seed %d, unit %d", seed, n)
			for range r.IntN(3) {
				g.see(n)
				out := charmtest.RunHook(t, charmtest.Hook{Name: "upgrade-charm", Death: charmtest.Death{Step: 1 + r.IntN(10), When: charmtest.When(r.IntN(3))}}, g.units[n])
				g.units[n] = out.State
				speaksAsPython(t, out.State, hint)
			}
			out := g.run(t, n, "upgrade-charm")
			require.Empty(t, out.Stale(), hint)
			if n := len(g.units); n < 3 {
				require.Contains(t, out.Juju.Status.Message, fmt.Sprintf("; moving to VRRP version 3, an advertisement interval of 200ms once all units are upgraded, %d of 3 are", n), hint)
			}
			for range r.IntN(10) {
				if len(g.units) == 3 {
					break
				}
				other := g.numbers()[r.IntN(len(g.units))]
				g.run(t, other, []string{"config-changed", "cluster-relation-changed", "update-status"}[r.IntN(3)])
				speaksAsPython(t, g.units[other], hint)
			}
		}
		for range 60 {
			g.run(t, r.IntN(3), "cluster-relation-changed")
			for n, s := range g.units {
				if n != holder && talks(s) != talks(g.units[holder]) {
					require.True(t, aside(s), "seed %d: unit %d talks %s, the holder %s", seed, n, talks(s), talks(g.units[holder]))
				}
			}
		}
		for n := range g.units {
			s := g.run(t, n, "update-status").State
			hint := fmt.Sprintf("seed %d, unit %d", seed, n)
			require.Empty(t, s.Stale(), hint)
			require.Equal(t, "version 3, virtual_router_id 23", talks(s), hint)
			require.Contains(t, s.Host.Keepalived.Loaded, "169.254.23.112/32 dev lo", hint)
			require.NotContains(t, s.Host.Checkers["keepalived"].Config, "mixed", hint)
			require.NotContains(t, s.Juju.Status.Message, "moving", hint)
			require.False(t, s.Host.Leftovers, hint)
			require.Equal(t, 0, s.Host.Keepalived.Starts, "%s: never restarted", hint)
			require.False(t, strings.Contains(s.Host.String(), "chk_svc_port"), hint)
		}
	})
}

func TestAVersionThatIsSetWaitsForThePythonCharmToo(t *testing.T) {
	for _, version := range []string{"2", "3"} {
		s := option(python(0), "vrrp_version", version)
		if version == "2" {
			s = option(s, "advert_interval", 1.0)
		}
		speaksAsPython(t, run(t, s, "upgrade-charm", "config-changed", "update-status"), version)
	}
}

func TestWhatThePythonCharmLeftIsRemovedOnce(t *testing.T) {
	for claim, s := range map[string]charmtest.State{
		"serving":           python(0),
		"without an option": option(python(0), "virtual_ip", ""),
	} {
		out := charmtest.Run(t, "upgrade-charm", s)
		require.Equal(t, step.RemoveLeftovers, out.Steps[len(out.Steps)-1].Action, claim)
		require.Empty(t, charmtest.Run(t, "config-changed", out.State).Steps, claim)
	}
}

func TestAHolderThatIsTakenOverPinsItsAddresses(t *testing.T) {
	for holds, want := range map[bool]bool{true: true, false: false} {
		out := charmtest.Run(t, "upgrade-charm", with(python(0), func(s *charmtest.State) { s.Host.Holds = holds }))
		pinned := slices.ContainsFunc(out.Steps, func(s step.Step) bool { return s.Action == step.Pin })
		require.Equal(t, want, pinned)
		require.Empty(t, out.Host.Pinned)
	}
}

// TestTheInterfaceOfThePythonCharmIsKeptUntilAllMove: it took that of the default
// route, whatever subnet holds the address.
func TestTheInterfaceOfThePythonCharmIsKeptUntilAllMove(t *testing.T) {
	s := python(0)
	s.Host.Interfaces = append(s.Host.Interfaces, facts.Interface{Name: "eth1", Up: true,
		Addresses: []netip.Prefix{netip.MustParsePrefix("10.10.74.99/28"), netip.MustParsePrefix("10.10.74.249/29")}})
	s = run(t, s, "upgrade-charm", "config-changed")
	require.Contains(t, s.Host.Keepalived.Loaded, "    interface eth0\n")
	require.Contains(t, s.Host.Keepalived.Loaded, "10.10.74.250/32 dev eth0\n")
	s.Juju.Planned = 1
	s = run(t, s, "update-status")
	require.Contains(t, s.Host.Keepalived.Loaded, "    interface eth1\n", "the subnet decides")
}

func TestAllAddressesOfThePythonCharmAreAdvertised(t *testing.T) {
	s := option(python(0), "virtual_ip", "10.10.74.250/24\n10.10.74.251/24")
	s.Host.Files[layout.MainFile] = strings.Replace(pythonConf, "10.10.74.250/24", "10.10.74.250/24\n10.10.74.251/24", 1)
	for _, hook := range []string{"upgrade-charm", "config-changed"} {
		s = run(t, s, hook)
		require.Contains(t, s.Host.Keepalived.Loaded, "    virtual_ipaddress {\n        10.10.74.250/32 dev eth0\n        10.10.74.251/32 dev eth0\n    }\n    track_file")
	}
}

// TestBesideThePythonCharmAnIPv6AddressIsAdvertisedAsItDoes: keepalived takes version 3
// for it, with the interval of a second that both versions have by default.
func TestBesideThePythonCharmAnIPv6AddressIsAdvertisedAsItDoes(t *testing.T) {
	const six = "2001:db8::250/64"
	s := option(python(0), "virtual_ip", six)
	s.Host.Files[layout.MainFile] = strings.Replace(pythonConf, vip+"/24", six, 1)
	s.Host.DefaultInterface6, s.Host.Holds = "eth0", true
	s = run(t, s, "upgrade-charm", "config-changed")
	for _, line := range []string{"version 3\n", "virtual_router_id 23\n", "advert_int 1\n", "priority 100\n",
		"virtual_ipaddress {\n        2001:db8::250/64 dev eth0\n    }\n    track_file"} {
		require.Contains(t, s.Host.Keepalived.Loaded, line)
	}
	require.Contains(t, s.Host.Checkers["keepalived"].Config, `"mixed": true`)
	require.Contains(t, s.Juju.Status.Message, "moving to an advertisement interval of 200ms once all units are upgraded, 1 of 3 are")
	s.Juju.Planned = 1
	s = run(t, s, "update-status")
	require.Contains(t, s.Host.Keepalived.Loaded, "version=3 mode=multicast vrid=23 interval=200ms anchor=fd70:7672:7270::1770\n")
	require.NotContains(t, s.Juju.Status.Message, "moving")
}

// TestAUnitThatServesForThePythonCharmTellsItsPeersSo: the peer relation is new.
func TestAUnitThatServesForThePythonCharmTellsItsPeersSo(t *testing.T) {
	s := run(t, python(0), "upgrade-charm", "config-changed", "cluster-relation-created")
	m := endpoint.ReadMember(s.Juju.Own("cluster:1"))
	require.True(t, m.Serves)
	require.False(t, m.Runs.Constant())
	require.Nil(t, m.Next)
}

// TestAUnitThatComesBackFromThePythonCharmBeginsWithWhatThatRuns, whatever this charm left
// on the machine when it went.
func TestAUnitThatComesBackFromThePythonCharmBeginsWithWhatThatRuns(t *testing.T) {
	for claim, change := range map[string]func(*charmtest.State){
		"at once":               func(*charmtest.State) {},
		"the checker has ended": func(s *charmtest.State) { s.Host.Checkers["keepalived"] = charmtest.Checker{} },
		"the record is of a later revision": func(s *charmtest.State) {
			path := s.Layout().Record()
			s.Host.Files[path] = strings.Replace(s.Host.Files[path], `"version": 1`, `"version": 2`, 1)
		},
	} {
		back := with(serving(t), func(s *charmtest.State) {
			was := python(0)
			s.Juju = was.Juju
			s.Host.Files[layout.MainFile], s.Host.Files[layout.SysctlFile] = pythonConf, was.Host.Files[layout.SysctlFile]
			s.Host.Keepalived, s.Host.Holds = was.Host.Keepalived, false
			change(s)
		})
		require.Contains(t, back.Host.Files, back.Layout().Record(), claim)
		out, fresh := charmtest.Run(t, "upgrade-charm", back), charmtest.Run(t, "upgrade-charm", python(0))
		speaksAsPython(t, out.State, claim)
		require.Empty(t, out.Stale(), claim)
		require.Equal(t, fresh.Juju.Status, out.Juju.Status, claim)
		require.Equal(t, fresh.Juju.Own("cluster:1")["vrrp"], out.Juju.Own("cluster:1")["vrrp"], claim)
		require.Equal(t, fresh.Host.Keepalived.Loaded, out.Host.Keepalived.Loaded, claim)
		require.True(t, out.Host.Checkers["keepalived"].Running, claim)
		for _, path := range []string{out.Layout().Fragment(), layout.MainFile, out.Layout().CheckerConfig(), out.Layout().Record()} {
			require.Equal(t, fresh.Host.Files[path], out.Host.Files[path], "%s: %s", claim, path)
		}
	}
}

// TestThePythonCharmOfAnotherApplicationServesOnBesideThisOne, which changes nothing there in any
// hook, whatever its options: a machine has one keepalived.conf.
func TestThePythonCharmOfAnotherApplicationServesOnBesideThisOne(t *testing.T) {
	for _, vips := range []string{"", vip, "10.10.74.251"} {
		s := charmtest.NewState(0)
		s.Juju.Options["virtual_ip"] = vips
		s.Host.Installed, s.Host.Holds, s.Host.PythonUnit = true, true, juju.Unit{Application: "vip", Number: 3}
		s.Host.Files[layout.MainFile] = pythonConf
		s.Host.Keepalived = charmtest.Daemon{Running: true, Loaded: pythonConf}
		before := s.Host.String()
		for _, hook := range []string{"install", "cluster-relation-created", "config-changed", "start", "update-status", "stop", "remove"} {
			out := charmtest.Run(t, hook, s)
			require.NoError(t, out.Err)
			s = out.State
			if hook == "update-status" {
				require.Equal(t, "blocked: vip/3 serves vip on this machine already: place haproxy/0 on another machine, or remove one of them", s.Juju.Status.String())
			}
			s.Host.Stopped, s.Host.Departs = false, false // which is in the unit's own directory
			require.Equal(t, before, s.Host.String(), "%s, virtual_ip=%q", hook, vips)
		}
	}
	// Once that one is refreshed to this charm, or gone, it is as ever.
	s := charmtest.NewState(0)
	s.Juju.Options["virtual_ip"] = vip
	s.Host.PythonUnit = juju.Unit{Application: "vip", Number: 3}
	require.Contains(t, run(t, s, "install", "config-changed").Juju.Status.String(), "VIP ready")
}
