package show

import (
	"net/netip"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"keepalived-charm/internal/applied"
	"keepalived-charm/internal/config"
	"keepalived-charm/internal/conflict"
	"keepalived-charm/internal/decide"
	"keepalived-charm/internal/docstest"
	"keepalived-charm/internal/endpoint"
	"keepalived-charm/internal/facts"
	"keepalived-charm/internal/group"
	"keepalived-charm/internal/healthcheck"
	"keepalived-charm/internal/juju"
	"keepalived-charm/internal/keepalived"
	"keepalived-charm/internal/layout"
	"keepalived-charm/internal/status"
	"keepalived-charm/internal/step"
	"keepalived-charm/internal/vrrp"
)

// circumstances are what a status is derived from.
type circumstances struct {
	*decide.Desired
	*facts.Machine
	state *keepalived.InstanceState
}

// holding is a unit that holds three virtual IPs, one peer beside it.
func holding(vips ...string) circumstances {
	l, serves := layout.Layout{Application: "keepalived"}, group.Word{Serves: true}
	d := &decide.Desired{}
	d.Layout, d.Unit, d.Related = l, juju.Unit{Application: "keepalived"}, true
	d.Peers = []decide.Peer{{Unit: juju.Unit{Application: "keepalived", Number: 1}, Rank: 1, Word: serves, Member: endpoint.Member{Word: serves}}}
	eth0 := facts.Interface{Name: "eth0", Up: true, Addresses: []netip.Prefix{netip.MustParsePrefix("10.0.0.1/24")}}
	state := keepalived.InstanceState{Name: l.Instance(), Interface: "eth0", State: keepalived.Master, VirtualRouterID: 23}
	for _, v := range vips {
		a := netip.MustParseAddr(v)
		d.Options.VirtualIPs = append(d.Options.VirtualIPs, config.VirtualIP{Prefix: netip.PrefixFrom(a, a.BitLen())})
		eth0.Addresses = append(eth0.Addresses, netip.PrefixFrom(a, a.BitLen()))
		state.Addresses = append(state.Addresses, a)
	}
	m := &facts.Machine{Active: true, Configured: facts.Configured{Applied: applied.Record{Addresses: map[netip.Addr]applied.Place{}}}, Interfaces: []facts.Interface{{Name: "lo", Up: true}, eth0}, Instances: []keepalived.InstanceState{state},
		Check: facts.CheckResult{Known: true, Healthy: true}}
	r := d.Router(0)
	r.VirtualIPs, r.Run = d.Options.VirtualIPs, vrrp.Parameters{VirtualRouterID: 23, Anchor: vrrp.Anchor(23, false)}
	d.Routers = []decide.Router{r}
	return circumstances{d, m, &m.Instances[0]}
}

// standby makes a unit one that hears a priority.
func (c circumstances) standby(heard vrrp.Priority) circumstances {
	c.state.State, c.state.MasterPriority = keepalived.Backup, heard
	c.drop(0)
	return c
}

// drop takes the virtual IPs but the first few from the kernel.
func (c circumstances) drop(left int) { c.Interfaces[1].Addresses = c.Interfaces[1].Addresses[:1+left] }

// waitFor makes the unit stand aside for others.
func (c circumstances) waitFor(what group.Aside, others ...int) {
	c.standby(0).state.State = keepalived.Fault
	c.Routers[0].Aside = what
	for _, n := range others {
		c.Routers[0].Waits = append(c.Routers[0].Waits, juju.Unit{Application: "keepalived", Number: n})
	}
}

// on places the virtual IPs on the interface, whose own address is another one.
func (c circumstances) on(own string) {
	c.Interfaces[1].Addresses[0] = netip.MustParsePrefix(own)
	for _, v := range c.Options.VirtualIPs {
		c.Routers[0].Instance.Addresses = append(c.Routers[0].Instance.Addresses, keepalived.VirtualAddress{Prefix: v.Prefix, Interface: "eth0"})
	}
}

// spreadOut gives each virtual IP a router whose holder is unit 0, this one, or another.
func (c circumstances) spreadOut(holders ...int) {
	c.Desired.Spread, c.Instances = true, nil
	vips, one := c.Options.VirtualIPs, c.Routers[0]
	c.drop(0)
	c.Routers = nil
	for k, holder := range holders {
		r := c.Router(k)
		r.Decision, r.VirtualIPs, r.Turns = one.Decision, vips[k:k+1], c.TurnsOf(k)
		state := keepalived.InstanceState{Name: c.Name(r), Interface: "eth0", State: keepalived.Master}
		if holder == 0 {
			c.Interfaces[1].Addresses = append(c.Interfaces[1].Addresses, vips[k].Prefix)
		} else {
			state.State = keepalived.Backup
			state.MasterPriority = vrrp.Base(r.Turns.Of(vrrp.Rank(holder))) + vrrp.HealthyWeight
		}
		c.Instances = append(c.Instances, state)
		c.Routers = append(c.Routers, r)
	}
}

var stranger = conflict.Host{Address: netip.MustParseAddr("10.0.0.99"), MAC: "52:54:00:00:00:63"}

// ignores makes the daemon run on its base priority.
func (c circumstances) ignores(limit int) {
	c.state.Base, c.state.Effective = 50, 50
	c.Tracks, c.Scarce = map[string]int{c.state.Name: vrrp.HealthyWeight + vrrp.HolderWeight}, facts.Inotify{Kind: facts.InotifyInstances, Limit: limit}
}

// second makes the peer a second holder.
func (c circumstances) second(path conflict.Path) {
	c.Desired.Found = append(c.Desired.Found, conflict.Finding{Kind: conflict.TwoHolders, Peer: "keepalived/1", Address: netip.MustParseAddr("10.0.0.250"), Path: path})
}

func TestEveryConditionHasItsWords(t *testing.T) {
	const one, two = "10.0.0.250", "10.0.0.250, 10.0.0.251, 10.0.0.252"
	heard := vrrp.Base(1) + vrrp.HealthyWeight + vrrp.HolderWeight
	seen := map[status.Condition]bool{}
	for claim, c := range map[string]struct {
		of     status.Condition
		with   status.Condition
		count  int
		change func(circumstances)
		want   string
	}{
		"holder":            {status.HoldsAll, -1, 1, func(circumstances) {}, "active: VIP ready: holds " + one},
		"holder of three":   {status.HoldsAll, -1, 3, func(circumstances) {}, "active: VIP ready: holds " + two},
		"holder of many":    {status.HoldsAll, -1, 5, func(circumstances) {}, "active: VIP ready: holds " + two + " and 2 more"},
		"standby":           {status.StandbyOf, -1, 3, func(c circumstances) { c.standby(heard) }, "active: VIP ready: standby for " + two + ", holder keepalived/1"},
		"standby of nobody": {status.StandbyAlone, -1, 1, func(c circumstances) { c.standby(255) }, "active: VIP ready: standby for " + one},
		"a stranger with a unit's priority took all": {status.RouterLost, -1, 1, func(c circumstances) {
			c.standby(heard)
			c.Check.Heard = []facts.Heard{{Instance: c.state.Name, Address: stranger.Address, Priority: heard, Foreign: true, Speaks: true}}
			c.Found = []conflict.Finding{{Kind: conflict.RouterTaken, Host: stranger, Said: vrrp.Advertisement{VirtualRouterID: 23}}}
			c.Free = 24
		}, "blocked: nobody holds " + one + ": 10.0.0.99 (52:54:00:00:00:63) has taken router_id 23: try juju config keepalived router_id=24"},
		"nobody heard yet": {status.Electing, -1, 1, func(c circumstances) { c.standby(0) }, "waiting: electing a holder for " + one},
		"just started": {status.Electing, -1, 1, func(c circumstances) { c.standby(0).state.State = keepalived.Init },
			"waiting: electing a holder for " + one},
		"nothing asked for yet": {status.WaitsForRequest, -1, 0, func(c circumstances) {
			c.Desired.Mode, c.Lacks = decide.Idle, status.Refusal(status.Say(status.WaitsForRequest, "PRINCIPAL", "haproxy/0"))
		}, "waiting: waits for haproxy/0 to ask for a virtual IP: set one there, or if one is set, another value and back"},
		"nothing to serve": {status.NothingToServe, -1, 0, func(c circumstances) { c.Desired.Mode = decide.Idle }, "blocked: Please configure virtual ips: juju config keepalived virtual_ip=ADDRESS"},
		"a unit of the application serves here already": {status.ServedBeside, -1, 1, func(c circumstances) {
			c.Desired.Mode, c.Desired.Owner, c.Desired.Beside = decide.Idle, juju.Unit{Application: "keepalived", Number: 3}, juju.Unit{Application: "haproxy", Number: 1}
		}, "blocked: keepalived/3 serves keepalived on this machine already: place haproxy/1 on another machine, or remove one of them"},
		"handed over": {status.Released, -1, 1, func(c circumstances) { c.Desired.Mode = decide.Released }, "maintenance: VIP handed over, serving nothing"},
		"paused": {status.Paused, -1, 1, func(c circumstances) {
			c.standby(0).state.State = keepalived.Fault
			c.Desired.Paused = true
		}, "maintenance: paused, takes no VIP: juju run keepalived/0 resume"},
		"paused without a daemon": {status.Paused, -1, 1, func(c circumstances) {
			c.standby(0).Active, c.Instances = false, nil
			c.Desired.Paused = true
		}, "maintenance: paused, takes no VIP: juju run keepalived/0 resume"},
		"paused, a daemon that goes on": {status.Paused, status.PausedHolds, 1, func(c circumstances) { c.Desired.Paused = true },
			"maintenance: paused, takes no VIP: juju run keepalived/0 resume; has " + one + " all the same: journalctl -u keepalived"},
		"paused, a daemon that hangs": {status.Paused, status.PausedHolds, 3, func(c circumstances) {
			c.Desired.Paused, c.Instances = true, nil
			c.drop(2)
		}, "maintenance: paused, takes no VIP: juju run keepalived/0 resume; has 10.0.0.250, 10.0.0.251 all the same: journalctl -u keepalived"},
		"no daemon": {status.NotRunning, -1, 1, func(c circumstances) { c.Active, c.Instances = false, nil }, "waiting: keepalived is not running: journalctl -u keepalived"},
		"masked": {status.Masked, -1, 1, func(c circumstances) { c.Active, c.Instances, c.Masked = false, nil, true },
			"blocked: keepalived.service is masked, no VIP can be held here: systemctl unmask keepalived.service"},
		"masked until the next boot": {status.Masked, -1, 1, func(c circumstances) { c.Active, c.Instances, c.Masked, c.MaskedRuntime = false, nil, true, true },
			"blocked: keepalived.service is masked, no VIP can be held here: systemctl unmask --runtime keepalived.service"},
		"masked while it runs": {status.HoldsAll, status.AlsoMasked, 1, func(c circumstances) { c.Masked = true },
			"active: VIP ready: holds " + one + "; keepalived.service is masked, once ended it does not start again: systemctl unmask keepalived.service"},
		"another daemon": {status.NotReporting, -1, 1, func(c circumstances) { c.state.Name = "other" },
			"waiting: keepalived does not run this unit's VRRP instance: see journalctl -u keepalived"},
		"interface down": {status.LinkDown, -1, 1, func(c circumstances) {
			c.standby(0).state.State = keepalived.Fault
			c.Interfaces[1].Up = false
		}, "waiting: interface eth0 is down, no VIP can be held here: ip link show eth0"},
		"fault": {status.DaemonFault, -1, 1, func(c circumstances) { c.standby(0).state.State = keepalived.Fault }, "waiting: keepalived is in the FAULT state: journalctl -u keepalived"},
		"no address": {status.NoAddress, -1, 1, func(c circumstances) {
			c.standby(0).state.State = keepalived.Fault
			c.Routers[0].Aside = group.Agreed
			c.Interfaces[1].Addresses = []netip.Prefix{netip.MustParsePrefix("fe80::1/64")}
		}, "waiting: interface eth0 has no IPv4 address, no VIP can be held here: ip address show eth0"},
		"no IPv6 address, the check failing": {status.NoAddress, -1, 1, func(c circumstances) {
			c.standby(0).state.State = keepalived.Fault
			c.Routers[0].Run.Anchor = vrrp.Anchor(23, true)
			c.Check = facts.CheckResult{Known: true, Reason: "refused"}
		}, "waiting: interface eth0 has no link-local IPv6 address, no VIP can be held here: ip address show eth0; check fails here: refused: juju run keepalived/0 run-checks"},
		"aside for a moment": {status.StandbyAlone, -1, 1, func(c circumstances) {
			c.standby(0).state.State = keepalived.Fault
			c.Routers[0].Aside = group.ParseAside("keepalived/1 1 1 version=3 mode=multicast vrid=24 interval=200ms anchor=169.254.24.112")
		}, "active: VIP ready: standby for " + one},
		"unknown to this unit": {status.WaitsToKnow, -1, 1, func(c circumstances) { c.waitFor(group.Unknown) }, "waiting: takes no part yet, waits for another unit to tell of itself"},
		"unknown to others":    {status.WaitsToBeKnown, -1, 1, func(c circumstances) { c.waitFor(group.Joins, 1) }, "waiting: takes no part yet, waits for keepalived/1 to know of this unit"},
		"nobody sends to this unit": {status.WaitsForList, -1, 1, func(c circumstances) { c.waitFor(group.Unheard, 1, 2, 3, 4, 5) },
			"waiting: takes no part yet, waits for keepalived/1, keepalived/2, keepalived/3 and 2 more to send advertisements here"},
		"another one is about to change": {status.WaitsToAgree, -1, 1, func(c circumstances) { c.waitFor(group.Agreed, 2) },
			"waiting: takes no part yet, waits for keepalived/2 to run the same"},
		"no inotify instance left": {status.IgnoresWatchless, -1, 1, func(c circumstances) { c.ignores(128) },
			"waiting: keepalived does not follow the health check, all 128 inotify instances are in use: sysctl -w fs.inotify.max_user_instances=512"},
		"no inotify watch left": {status.IgnoresWatchless, -1, 1, func(c circumstances) {
			c.Unwatched, c.Scarce = true, facts.Inotify{Kind: facts.InotifyWatches, Limit: 8192}
		}, "waiting: keepalived does not follow the health check, all 8192 inotify watches are in use: sysctl -w fs.inotify.max_user_watches=16384"},
		"nothing watches": {status.IgnoresCheck, -1, 1, func(c circumstances) { c.Unwatched = true }, "waiting: keepalived does not follow the health check: journalctl -u keepalived"},
		"nothing waits for news": {status.HoldsAll, status.LateStatus, 1, func(c circumstances) { c.Options.Notify = true },
			"active: VIP ready: holds " + one + "; changes between hooks show late: systemctl status keepalived-notifier-keepalived.path"},
		"nothing can wait for news": {status.HoldsAll, status.LateWatchless, 1, func(c circumstances) {
			c.Options.Notify, c.Scarce = true, facts.Inotify{Kind: facts.InotifyWatches, Limit: 128}
		}, "active: VIP ready: holds " + one + "; changes between hooks show late, all 128 inotify watches are in use: sysctl -w fs.inotify.max_user_watches=512"},
		"nothing can wait for news nor watch": {status.IgnoresWatchless, -1, 1, func(c circumstances) {
			c.ignores(128)
			c.Options.Notify = true
		}, "waiting: keepalived does not follow the health check, all 128 inotify instances are in use: sysctl -w fs.inotify.max_user_instances=512"},
		"no inotify instance left of many": {status.IgnoresWatchless, -1, 1, func(c circumstances) { c.ignores(1024) },
			"waiting: keepalived does not follow the health check, all 1024 inotify instances are in use: sysctl -w fs.inotify.max_user_instances=2048"},
		"the health check not followed": {status.IgnoresCheck, -1, 1, func(c circumstances) { c.ignores(0) },
			"waiting: keepalived does not follow the health check: journalctl -u keepalived"},
		"paused, the track file not followed": {status.IgnoresCheck, -1, 1, func(c circumstances) {
			c.ignores(0)
			c.Desired.Paused, c.Tracks[c.state.Name] = true, vrrp.StepAside
		}, "waiting: keepalived does not follow the health check: journalctl -u keepalived"},
		"followed": {status.HoldsAll, -1, 1, func(c circumstances) {
			c.ignores(0)
			c.state.Effective = 254
		}, "active: VIP ready: holds " + one},
		"dropped by keepalived": {status.HoldsAll, status.AlsoFiltered, 1, func(c circumstances) { c.Filtered = c.Addresses() },
			"active: VIP ready: holds " + one + "; keepalived's packet filter drops what is sent to " + one + ": nft flush set ip keepalived vips"},
		"a peer's own address, as it says": {status.HoldsAll, status.AlsoOwn, 1, func(c circumstances) { c.Peers[0].Addresses = c.Addresses() },
			"active: VIP ready: holds " + one + "; keepalived/1 says that " + one + " is its own address: is it?"},
		"peers' own addresses, as they say": {status.HoldsAll, status.MoreOwn, 3, func(c circumstances) {
			c.Desired.Peers = append(c.Desired.Peers, c.Peers[0])
			c.Peers[0].Addresses, c.Peers[1].Addresses = c.Addresses(), c.Addresses()
		}, "active: VIP ready: holds " + two + "; keepalived/1 says that " + one + " is its own address: is it?; 5 more of the kind"},
		"an owner's setting": {status.HoldsAll, status.AlsoOwnerSets, 1, func(c circumstances) {
			c.Desired.Intruded = []decide.Intrusion{{File: "/etc/keepalived/a.conf", Setting: "net_namespace", Effect: "breaks them"}}
		}, "active: VIP ready: holds " + one + "; /etc/keepalived/a.conf sets net_namespace, which breaks them: remove it"},
		"a setting that drifted": {status.StandbyOf, status.SettingLost, 1, func(c circumstances) {
			c.standby(heard)
			c.Check = facts.CheckResult{}
			c.Drifted = []string{"net.ipv4.ip_nonlocal_bind", "net.ipv6.ip_nonlocal_bind"}
		}, "active: VIP ready: standby for " + one + ", holder keepalived/1; net.ipv4.ip_nonlocal_bind is off and cannot be set here, a service cannot bind a virtual IP that another machine holds"},
		"a setting that drifted, of the other family": {status.StandbyOf, -1, 1, func(c circumstances) {
			c.standby(heard)
			c.Check, c.Drifted = facts.CheckResult{}, []string{"net.ipv6.ip_nonlocal_bind"}
		}, "active: VIP ready: standby for " + one + ", holder keepalived/1"},
		"a setting that drifted, a service that works": {status.StandbyOf, -1, 1, func(c circumstances) {
			c.standby(heard).Drifted = []string{"net.ipv4.ip_nonlocal_bind"}
		}, "active: VIP ready: standby for " + one + ", holder keepalived/1"},
		"sick and out": {status.OutOfElection, -1, 1, func(c circumstances) {
			c.standby(0).state.State = keepalived.Fault
			c.Options.Policy.DropAllUnhealthy = true
			c.Check = facts.CheckResult{Known: true, Reason: "refused"}
		}, "waiting: takes no VIP while its check fails: refused: juju run keepalived/0 run-checks"},
		"one address gone": {status.HoldsSome, -1, 3, func(c circumstances) { c.drop(2) },
			"waiting: holds 2 of 3 VIPs, keepalived is MASTER without 10.0.0.252: journalctl -u keepalived"},
		"an address left": {status.HoldsStray, -1, 1, func(c circumstances) { c.state.State = keepalived.Backup },
			"waiting: has 10.0.0.250 though keepalived is BACKUP: journalctl -u keepalived"},
		"failing check": {status.HoldsAll, status.CheckFails, 1, func(c circumstances) {
			c.Check = facts.CheckResult{Known: true, Reason: "refused"}
			healthy := true
			c.Peers[0].Healthy = &healthy
		}, "active: VIP ready: holds " + one + "; check fails here: refused: juju run keepalived/0 run-checks"},
		"failing everywhere": {status.HoldsAll, status.CheckFailsEverywhere, 1, func(c circumstances) {
			c.Check = facts.CheckResult{Known: true, Reason: "refused"}
			c.Peers[0].Healthy = new(bool)
			c.Options.Port, c.Options.Check.Target = 443, "localhost:443"
			c.Options.Check.Type = healthcheck.TCP
		}, "active: VIP ready: holds " + one + "; check fails on every unit: is port 443 right? Here: refused"},
		"silent checker": {status.HoldsAll, status.CheckerSilent, 1, func(c circumstances) { c.Check = facts.CheckResult{Silent: true} },
			"active: VIP ready: holds " + one + "; the health checker is silent: see journalctl -u keepalived-checker-keepalived.service"},
		"no port for the metrics": {status.HoldsAll, status.NoMetrics, 1, func(c circumstances) { c.Options.MetricsPort, c.Taken = 65534, []int{65534, 65535} },
			"active: VIP ready: holds " + one + "; serves no metrics, ports 65534-65535 of 127.0.0.1 are taken: ss -ltnp shows by whom, option metrics_port names others"},
		"a port for the metrics": {status.HoldsAll, -1, 1, func(c circumstances) { c.Options.MetricsPort, c.Taken = 65534, []int{65534} },
			"active: VIP ready: holds " + one},
		"no address in the network space": {status.HoldsAll, status.NoSpace, 1, func(c circumstances) { c.Unbound = true },
			"active: VIP ready: holds " + one + "; the network space of endpoint cluster has no address on this machine: juju bind keepalived cluster=SPACE, see juju spaces"},
		"no peer relation": {status.HoldsAll, status.NoPeerRelation, 1, func(c circumstances) { c.Related = false },
			"active: VIP ready: holds " + one + "; no peer relation, units do not know each other: juju status --relations"},
		"a change": {status.HoldsAll, status.Changing, 1, func(c circumstances) {
			c.Routers[0].Decision = group.Decision{Moving: true, Wanted: vrrp.Parameters{VirtualRouterID: 51}}
		},
			"active: VIP ready: holds " + one + "; moving to virtual router ID 51"},
		"a change with others": {status.HoldsAll, status.ChangingReady, 1, func(c circumstances) {
			c.Routers[0].Decision = group.Decision{Moving: true, Wanted: vrrp.Parameters{VirtualRouterID: 51}, Next: &group.Announcement{}, Ready: 1, Others: 2}
		}, "active: VIP ready: holds " + one + "; moving to virtual router ID 51, 2 of 3 units ready"},
		"a change that a unit holds up": {status.HoldsAll, status.ChangingWaits, 1, func(c circumstances) {
			c.Routers[0].Decision = group.Decision{Moving: true, Wanted: vrrp.Parameters{VirtualRouterID: 51}, Next: &group.Announcement{}, Others: 1,
				Waits: []juju.Unit{{Application: "keepalived", Number: 1}}}
		}, "active: VIP ready: holds " + one + "; moving to virtual router ID 51, 1 of 2 units ready, waiting for keepalived/1"},
		"a change that a unit holds up which cannot be read": {status.HoldsAll, status.ChangingWaits, 1, func(c circumstances) {
			c.Routers[0].Decision = group.Decision{Moving: true, Wanted: vrrp.Parameters{VirtualRouterID: 51}, Waits: []juju.Unit{{Application: "keepalived", Number: 1}}}
		}, "active: VIP ready: holds " + one + "; moving to virtual router ID 51, waiting for keepalived/1"},
		"a change that waits": {status.HoldsAll, status.ChangingUpgraded, 1, func(c circumstances) {
			c.Routers[0].Decision = group.Decision{Moving: true, Wanted: vrrp.Parameters{Version: 3}, Planned: 3, Upgraded: 1}
		}, "active: VIP ready: holds " + one + "; moving to VRRP version 3 once all units are upgraded, 1 of 3 are"},
		"holder of one of three": {status.SharesIn, status.ShareOf, 3, func(c circumstances) { c.spreadOut(0, 1, 1) },
			"active: VIP ready: holds 1 of 3 VIPs, 10.0.0.250; keepalived/1 holds 10.0.0.251, 10.0.0.252"},
		"holder of none": {status.SharesNone, status.ShareOfNobody, 3, func(c circumstances) { c.spreadOut(1, 1, 7) },
			"active: VIP ready: holds none of 3 VIPs; keepalived/1 holds 10.0.0.250, 10.0.0.251; holder unknown of 10.0.0.252"},
		"holder of one, nobody heard yet": {status.Electing, -1, 2, func(c circumstances) {
			c.spreadOut(0, 1)
			c.Instances[1].MasterPriority = 0
		}, "waiting: electing a holder for 10.0.0.251"},
		"a stranger's advertisements": {status.HoldsAll, status.AlsoRouter, 1, func(c circumstances) {
			c.Free = 24
			c.Desired.Found = []conflict.Finding{{Kind: conflict.RouterTaken, Host: stranger, Said: vrrp.Advertisement{VirtualRouterID: 23}}}
		}, "active: VIP ready: holds " + one + "; router_id 23 is used by 10.0.0.99 (52:54:00:00:00:63) too: try juju config keepalived router_id=24"},
		"a stranger's address": {status.HoldsAll, status.AlsoAddress, 1, func(c circumstances) {
			c.Desired.Found = []conflict.Finding{{Kind: conflict.AddressTaken, Host: stranger, Address: netip.MustParseAddr(one)}}
		}, "active: VIP ready: holds " + one + "; " + one + " is answered by 10.0.0.99 (52:54:00:00:00:63) too: take it from that host"},
		"a second holder unheard": {status.HoldsAll, status.AlsoHolds, 1, func(c circumstances) { c.second(conflict.Lost) },
			"active: VIP ready: holds " + one + "; keepalived/1 holds " + one + " too, its advertisements do not arrive here: allow IP protocol 112 between the machines"},
		"a second holder dropped": {status.HoldsAll, status.AlsoHoldsDropped, 1, func(c circumstances) { c.second(conflict.Dropped) },
			"active: VIP ready: holds " + one + "; keepalived/1 holds " + one + " too, this machine's packet filter drops its advertisements: allow IP protocol 112, see nft list ruleset"},
		"a second holder that is deaf": {status.HoldsAll, status.AlsoHoldsDeaf, 1, func(c circumstances) { c.second(conflict.Arrives) },
			"active: VIP ready: holds " + one + "; keepalived/1 holds " + one + " too, advertisements arrive here but not there: allow IP protocol 112 on that machine"},
		"a second holder with other parameters": {status.HoldsAll, status.AlsoHoldsApart, 1, func(c circumstances) { c.second(conflict.Apart) },
			"active: VIP ready: holds " + one + "; keepalived/1 holds " + one + " too, with other VRRP parameters: one lets go once both agents have run their hooks"},
		"several conflicts": {status.HoldsAll, status.MoreConflicts, 1, func(c circumstances) {
			c.second(conflict.Arrives)
			c.second(conflict.Arrives)
		}, "active: VIP ready: holds " + one + "; keepalived/1 holds " + one + " too, advertisements arrive here but not there: allow IP protocol 112 on that machine; 1 more: juju run keepalived/0 check-network"},
		"another interface's subnet": {status.HoldsAll, status.WrongInterface, 1, func(c circumstances) {
			c.Interfaces = append(c.Interfaces, facts.Interface{Name: "eth1", Up: true, Addresses: c.Interfaces[1].Addresses[1:]})
			c.drop(0)
			c.Routers[0].Instance.Addresses = []keepalived.VirtualAddress{{Prefix: netip.MustParsePrefix(one + "/32"), Interface: "eth1"}}
		}, "active: VIP ready: holds " + one + "; " + one + " is in the subnet of eth0, not of eth1: see network_interface"},
		"nobody's subnet": {status.HoldsAll, status.NoSubnet, 1, func(c circumstances) { c.on("10.0.1.1/24") },
			"active: VIP ready: holds " + one + "; no interface has the subnet of " + one + ": is it right?"},
		"nobody's subnet, as the operator says": {status.HoldsAll, -1, 1, func(c circumstances) {
			c.on("10.0.1.1/24")
			c.Options.VirtualIPs[0].Sized = true
		}, "active: VIP ready: holds " + one},
		"nobody's subnet, on an interface that was named": {status.HoldsAll, -1, 1, func(c circumstances) {
			c.on("10.0.1.1/24")
			c.Options.Interface = "eth0"
		}, "active: VIP ready: holds " + one},
		"the subnet is gone": {status.HoldsAll, -1, 1, func(c circumstances) { c.on("fd00::1/64") }, "active: VIP ready: holds " + one},
	} {
		t.Run(claim, func(t *testing.T) {
			var vips []string
			for n := range c.count {
				vips = append(vips, netip.AddrFrom4([4]byte{10, 0, 0, byte(250 + n)}).String())
			}
			now := holding(vips...)
			c.change(now)
			require.Equal(t, c.want, Status(*now.Desired, *now.Machine).String())
			require.Equal(t, status.Wordings()[c.of].Level, Status(*now.Desired, *now.Machine).Level)
		})
		seen[c.of], seen[c.with] = true, true
	}
	// Set by others: errors' texts, and a step of a plan; or by several units (package charm).
	for _, c := range []status.Condition{status.AsksForNone, status.RequestRefused, status.TwoSources, status.CannotUse, status.LaterRecord, status.WaitsForSame, status.SharesRouter, status.Meanwhile, status.Installs, status.InstallWaits, status.FailsToInstall, status.RemoveWaits, status.HeldPackage, status.MissingPackage, status.UselessPackages, status.BrokenProgram, status.RouterTaken, status.AddressTaken, status.HolderUnheard, status.HolderDropped, status.OwnerSets, status.RouterMaybeTaken, status.AddressMaybeTaken, status.RouterBeside, status.AddressBeside, status.SharedBeside} {
		seen[c] = true
	}
	for n, w := range status.Wordings() {
		require.True(t, seen[status.Condition(n)], "%q has a test", w.Message)
		require.NotEmpty(t, w.Message+w.Meaning)
	}
}

// TestTheManualHasEveryWording: it is where people look a message up.
func TestTheManualHasEveryWording(t *testing.T) {
	var text strings.Builder
	for _, level := range []juju.StatusLevel{juju.Active, juju.Waiting, juju.Blocked, juju.Maintenance, ""} {
		title := string(level)
		if level == "" {
			title = "Added behind another message"
		}
		text.WriteString("\n## " + title + "\n\n| message | meaning |\n| --- | --- |\n")
		for _, w := range status.Wordings() {
			if w.Level == level {
				text.WriteString("| `" + w.Message + "` | " + w.Meaning + " |\n")
			}
		}
	}
	for _, w := range status.Wordings() {
		require.Equal(t, 1, strings.Count(text.String(), "| `"+w.Message+"` |"), "one table has it: %s", w.Message)
		require.NotContains(t, w.Message+w.Meaning, "|", "it is a cell of a table")
		require.False(t, regexp.MustCompile(`\s$`).MatchString(w.Message), w.Message)
		require.Equal(t, w.Level == "", strings.HasPrefix(w.Message, "; ") || strings.HasPrefix(w.Message, ", ") || strings.HasPrefix(w.Message, " "), w.Message)
	}
	docstest.Generated(t, "docs/reference/statuses.md", "statuses", text.String())
}

func TestStrayAddressesAreFlushed(t *testing.T) {
	const v = "10.0.0.250"
	anchor := vrrp.Anchor(23, false)
	for claim, c := range map[string]struct {
		change func(circumstances)
		want   []string
	}{
		"a holder has none":         {func(circumstances) {}, nil},
		"a standby's":               {func(c circumstances) { c.state.State = keepalived.Backup }, []string{v}},
		"without a daemon":          {func(c circumstances) { c.Active, c.Instances = false, nil }, []string{v}},
		"a silent daemon may hold":  {func(c circumstances) { c.Instances = nil }, nil},
		"a starting daemon as well": {func(c circumstances) { c.state.State = keepalived.Init }, nil},
		"what is pinned stays": {func(c circumstances) {
			c.state.State = keepalived.Backup
			c.Owed = []step.FollowUp{step.Unpin}
		}, nil},
		"the loopback device is others'": {func(c circumstances) {
			c.standby(1)
			c.Interfaces[0].Addresses = []netip.Prefix{netip.MustParsePrefix(v + "/32")}
		}, nil},
		"but not the anchor on it": {func(c circumstances) {
			c.standby(1)
			c.state.Addresses = append(c.state.Addresses, anchor)
			c.Interfaces[0].Addresses = []netip.Prefix{netip.PrefixFrom(anchor, 32)}
		}, []string{anchor.String()}},
	} {
		t.Run(claim, func(t *testing.T) {
			now := holding(v)
			c.change(now)
			var got []string
			for _, a := range now.Strays(*now.Machine) {
				got = append(got, a.String())
			}
			require.Equal(t, c.want, got)
		})
	}
}

func TestAMasterGetsBackWhatItLost(t *testing.T) {
	now := holding("10.0.0.250", "10.0.0.251")
	for _, a := range now.Addresses() {
		now.Applied.Addresses[a] = applied.Place{Interface: "eth0", Bits: 32}
	}
	require.Empty(t, now.Lost(*now.Machine))
	now.drop(1)
	require.Equal(t, []netip.Addr{netip.MustParseAddr("10.0.0.251")}, now.Lost(*now.Machine))
	now.Interfaces = append(now.Interfaces, facts.Interface{Name: "kube-ipvs0", Kind: "dummy", NoARP: true, Addresses: []netip.Prefix{netip.MustParsePrefix("10.0.0.251/32")}})
	require.NotEmpty(t, now.Lost(*now.Machine), "a copy of it is not it")
	now.Interfaces[0].Addresses = append(now.Interfaces[0].Addresses, netip.MustParsePrefix("10.0.0.251/32"))
	require.NotEmpty(t, now.Lost(*now.Machine), "nor is one that the machine's owner has on the loopback device")
	now.Owed = []step.FollowUp{step.Unpin}
	require.Empty(t, now.Lost(*now.Machine), "one that is pinned is not lost")
	now.Owed = nil
	now.Interfaces[0].Addresses = nil
	now.state.Addresses = now.state.Addresses[:1]
	require.Empty(t, now.Lost(*now.Machine), "one that it has not read is a change still to come")
	now.standby(1)
	require.Empty(t, now.Lost(*now.Machine))
}

func TestPassingStatusesAreThoseOfADaemonThatStarts(t *testing.T) {
	for _, message := range []string{"electing a holder for 10.10.74.250; check fails here: refused: juju run keepalived/0 run-checks", "keepalived is not running: journalctl -u keepalived"} {
		require.True(t, status.Passing(juju.Status{Level: juju.Waiting, Message: message}), message)
	}
	for _, message := range []string{"VIP ready: holds 10.10.74.250", "keepalived is in the FAULT state: journalctl -u keepalived"} {
		require.False(t, status.Passing(juju.Status{Level: juju.Waiting, Message: message}), message)
	}
}
