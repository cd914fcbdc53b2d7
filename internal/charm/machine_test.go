package charm_test

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"keepalived-charm/internal/charmtest"
	"keepalived-charm/internal/facts"
	"keepalived-charm/internal/juju"
	"keepalived-charm/internal/layout"
	"keepalived-charm/internal/step"
)

// owned is a machine with a keepalived.conf of its owner, before any hook.
func owned(settings string) charmtest.State {
	s := option(charmtest.NewState(0), "virtual_ip", vip)
	s.Host.Installed, s.Host.Files[layout.MainFile] = true, settings+before
	s.Host.Keepalived = charmtest.Daemon{Running: true, Loaded: settings + before}
	s.Host.Holds, s.Host.Check = true, facts.CheckResult{Known: true, Healthy: true}
	return s
}

func TestASettingOfTheOwnerBlocksOnlyAUnitThatHasNotBegun(t *testing.T) {
	for setting, effect := range map[string]string{
		"net_namespace blue":                               "net_namespace, which puts the virtual IPs into another network namespace",
		"global_defs {\nvrrp_mcast_group4 224.0.0.77\n}":   "vrrp_mcast_group4, which sends advertisements where other units do not listen",
		"global_defs {\nv3_checksum_as_v2\n}":              "v3_checksum_as_v2, which makes advertisements that other units drop",
		"global_defs {\nreload_check_config\n}":            "reload_check_config, which makes keepalived end or ignore changes when it reloads",
		"global_defs {\njson_file_location /x\n}":          "json_file_location, which hides keepalived's state from the charm",
		"garp_group {\ngarp_interval 2\ninterface eth0\n}": "garp_interval, which delays telling the network that virtual IPs moved",
	} {
		t.Run(effect, func(t *testing.T) {
			s := owned(setting + "\n")
			out := charmtest.Run(t, "config-changed", s)
			require.Equal(t, "blocked: /etc/keepalived/keepalived.conf sets "+effect+": remove it", out.Juju.Status.String())
			require.Equal(t, s.Host.Keepalived, out.Host.Keepalived)
			out.Host.Files[layout.MainFile] = before
			begun := charmtest.Run(t, "update-status", out.State)
			require.Equal(t, "active: VIP ready: holds "+vip, begun.Juju.Status.String())
			// The same comes later: the unit goes on and says so.
			begun.Host.Files[layout.ForeignFile] = setting + "\n" + before
			later := charmtest.Run(t, "update-status", begun.State)
			require.Equal(t, "active: VIP ready: holds "+vip+"; /etc/keepalived/keepalived.conf.before-charm sets "+effect+": remove it", later.Juju.Status.String())
			network := act(t, "check-network", later.State)
			require.Contains(t, network.Juju.Results["conflicts"], "keepalived.conf.before-charm sets "+effect)
		})
	}
}

// TestAValueThatIsDefinedCountsAsItIsAndOneThatCannotBeKnownAsHarmful.
func TestAValueThatIsDefinedCountsAsItIsAndOneThatCannotBeKnownAsHarmful(t *testing.T) {
	const hidden = ", which has a value that the charm cannot know, $G: remove it"
	for setting, want := range map[string]string{
		"$G=224.0.0.77\nglobal_defs {\nvrrp_mcast_group4 $G\n}":              "vrrp_mcast_group4, which sends advertisements where other units do not listen: remove it",
		"@a $G=224.0.0.77\nglobal_defs {\nvrrp_mcast_group4 ${G}\n}":         "vrrp_mcast_group4" + hidden,
		"global_defs {\nv3_checksum_as_v2 $G\n}":                             "v3_checksum_as_v2" + hidden,
		"global_defs {\nvrrp_garp_interval $G\n}":                            "vrrp_garp_interval" + hidden,
		"garp_group {\ninterface $I\ngarp_interval 2\n}":                     "garp_interval, which delays telling the network that virtual IPs moved: remove it",
		"$I=eth0\ngarp_group {\ninterfaces {\n$I\n}\ngarp_interval 2\n}":     "garp_interval, which delays telling the network that virtual IPs moved: remove it",
		"$G=net_namespace blue\n$G":                                          "net_namespace, which puts the virtual IPs into another network namespace: remove it",
		"interface_up_down_delays {\neth0 0.4 30\n}":                         "interface_up_down_delays, which keeps virtual IPs for two advertisement intervals or more where the link is down: remove it",
		"interface_up_down_delays {\neth1 2\neth0 0.3 30\n}":                 "",
		"interface_up_down_delays {\neth0 $G\n}":                             "interface_up_down_delays" + hidden,
		"$G=224.0.0.18\nglobal_defs {\nvrrp_mcast_group4 $G\n}":              "",
		"global_defs {\nvrrp_mcast_group6 $G\nvrrp_gna_interval $G\n}":       "",
		"$I=eth1\ngarp_group {\ninterface $I\ngarp_interval $G\n}":           "",
		"$G=off\nglobal_defs {\nv3_checksum_as_v2 $G\nsmtp_server ${X}.5\n}": "",
	} {
		out := charmtest.Run(t, "config-changed", owned(setting+"\n")).Juju.Status.String()
		if want == "" {
			require.Equal(t, "active: VIP ready: holds "+vip, out, setting)
			continue
		}
		require.Equal(t, "blocked: /etc/keepalived/keepalived.conf sets "+want, out, setting)
	}
	taken := owned("$ID=23\n$IF=eth0\n" + strings.ReplaceAll(before, "virtual_router_id 90", "virtual_router_id $ID"))
	require.Contains(t, charmtest.Run(t, "config-changed", taken).Juju.Status.String(), `blocked: option router_id is "23", must be another one`)
}

func TestWhatAnInstanceCanSayOfItselfBlocksNobody(t *testing.T) {
	for _, setting := range []string{"vrrp_strict", "vrrp_min_garp", "vrrp_garp_interval 0.001", "vrrp_mcast_group4 224.0.0.18", "vrrp_mcast_group6 ff02::77",
		"v3_checksum_as_v2 off", "json_version 2", "vrrp_skip_check_adv_addr", "vrrp_version 2", "# net_namespace blue"} {
		out := charmtest.Run(t, "config-changed", owned("global_defs {\n"+setting+"\n}\n"))
		require.Equal(t, "active: VIP ready: holds "+vip, out.Juju.Status.String(), setting)
	}
}

func TestADelayOfWhatOthersSendBlocksNobody(t *testing.T) {
	for _, setting := range []string{"garp_group {\ngarp_interval 2\ninterface eth1\n}", "garp_group {\ngna_interval 2\ninterface eth0\n}",
		"garp_group {\ngarp_interval 2\n}", "global_defs {\nvrrp_gna_interval 2\n}"} {
		out := charmtest.Run(t, "config-changed", owned(setting+"\n"))
		require.Equal(t, "active: VIP ready: holds "+vip, out.Juju.Status.String(), setting)
	}
	six := option(owned("global_defs {\nvrrp_gna_interval 2\n}\n"), "virtual_ip", vip+",2001:db8::250")
	six.Host.DefaultInterface6 = "eth0"
	require.Contains(t, charmtest.Run(t, "config-changed", six).Juju.Status.String(), "vrrp_gna_interval, which delays")
	six = option(owned("global_defs {\nvrrp_garp_interval 2\n}\n"), "virtual_ip", "2001:db8::250")
	six.Host.DefaultInterface6 = "eth0"
	require.NotContains(t, charmtest.Run(t, "config-changed", six).Juju.Status.String(), "vrrp_garp_interval")
}

// TestKeepalivedHasTheTimeToStartThatTheOwnersScriptTakes: systemd would end it again and again.
func TestKeepalivedHasTheTimeToStartThatTheOwnersScriptTakes(t *testing.T) {
	for setting, want := range map[string]string{
		"startup_script_timeout 60":                              "10s",
		"startup_script /etc/rules":                              "20s",
		"startup_script /etc/rules\nstartup_script_timeout 60":   "70s",
		"startup_script /etc/rules\nstartup_script_timeout 9000": "20s",
		"startup_script /etc/rules\nstartup_script_timeout x":    "20s",
		"startup_script /etc/rules\nstartup_script_timeout $T":   "1010s",
		"shutdown_script /etc/rules":                             "10s",
	} {
		s := charmtest.Run(t, "config-changed", owned("global_defs {\n"+setting+"\n}\n")).State
		require.Contains(t, s.Host.Files[s.Layout().DropIn()], "\nTimeoutStartSec="+want+"\n", setting)
		require.Empty(t, charmtest.Run(t, "update-status", s).Steps, setting)
	}
}

func TestFilesThatTheOwnerIncludesAreReadToo(t *testing.T) {
	const more = "/etc/keepalived/more.conf"
	s := owned("include " + more + "\n")
	s.Host.Files[more] = "global_defs {\nnet_namespace blue\n}\n"
	require.Contains(t, charmtest.Run(t, "config-changed", s).Juju.Status.String(), "blocked: "+more+" sets net_namespace")
	s.Host.Files[layout.MainFile] = "$D=/etc/keepalived\nincluder ${D}/{none,more}.conf\n" + before
	require.Contains(t, charmtest.Run(t, "config-changed", s).Juju.Status.String(), "blocked: "+more+" sets net_namespace")
	s.Host.Files[more] = strings.ReplaceAll(before, "90", "23")
	require.Equal(t, `blocked: option router_id is "23", must be another one, `+more+` uses it on interface eth0`,
		charmtest.Run(t, "config-changed", s).Juju.Status.String())
}

// TestAnIncludeOfTheCharmsOwnFilesIsRefused: keepalived would have every instance twice, and
// not start.
func TestAnIncludeOfTheCharmsOwnFilesIsRefused(t *testing.T) {
	for text, blocked := range map[string]bool{
		"include /etc/keepalived/*/*.conf\n": true, "include {a,charm}.d/keepalived.conf\n": true, "global_defs {\ninclude charm.d/*\n}\n": true,
		"include /etc/keepalived/*.d/x*.conf\n": false, "include /etc/keepalived/conf.d/*.conf\n": false,
	} {
		out := charmtest.Run(t, "config-changed", owned(text)).Juju.Status.String()
		require.Equal(t, blocked, strings.HasPrefix(out, "blocked: /etc/keepalived/keepalived.conf sets include, which reads the charm's own files once more, by /etc/keepalived/"), "%s: %s", text, out)
		require.Equal(t, !blocked, strings.HasPrefix(out, "active: "), "%s: %s", text, out)
	}
}

// TestAnIncludeWithinAnInstanceIsAPartOfIt: a list of addresses, or what instances have in
// common, is often in a file of its own.
func TestAnIncludeWithinAnInstanceIsAPartOfIt(t *testing.T) {
	for claim, files := range map[string][2]string{
		"its addresses": {"vrrp_instance B {\n    interface eth0\n    virtual_router_id 77\n    virtual_ipaddress {\n        include /etc/keepalived/part.inc\n    }\n}\n", vip + "/24\n"},
		"its router ID": {"vrrp_instance B {\n    include /etc/keepalived/part.inc\n    virtual_ipaddress {\n        10.99.1.1/24\n    }\n}\n", "interface eth0\nvirtual_router_id 23\n"},
		"all of it":     {"vrrp_instance B {\n    include /etc/keepalived/part.inc\n}\n", "interface eth0\nvirtual_router_id 77\nvirtual_ipaddress {\n" + vip + "/24\n}\n"},
		"the instance":  {"include /etc/keepalived/part.inc\n", "vrrp_instance B {\n    interface eth0\n    virtual_router_id 77\n    virtual_ipaddress {\n        " + vip + "/24\n    }\n}\n"},
	} {
		t.Run(claim, func(t *testing.T) {
			s := owned(files[0])
			s.Host.Files["/etc/keepalived/part.inc"] = files[1]
			require.Contains(t, charmtest.Run(t, "config-changed", s).Juju.Status.String(), "blocked: ")
		})
	}
}

// TestAnAddressThatTheOwnersKeepalivedPutsOnIsItsOwn, by whatever part of its configuration.
func TestAnAddressThatTheOwnersKeepalivedPutsOnIsItsOwn(t *testing.T) {
	for claim, text := range map[string]string{
		"an instance behind a brace in quotes": "vrrp_instance A {\n    authentication {\n        auth_pass \"ab{c\"\n    }\n    virtual_ipaddress {\n        10.99.1.9/32\n    }\n}\n" +
			"vrrp_instance B {\n    interface eth0\n    virtual_router_id 77\n    virtual_ipaddress {\n        " + vip + "/24\n    }\n}\n",
		"a static address": "static_ipaddress {\n    " + vip + "/32 dev eth0\n}\n",
	} {
		t.Run(claim, func(t *testing.T) {
			require.Equal(t, `blocked: option virtual_ip is "`+vip+`", must be a free address, `+vip+` belongs to /etc/keepalived/keepalived.conf`,
				strings.ReplaceAll(charmtest.Run(t, "config-changed", owned(text)).Juju.Status.String(), "the keepalived.conf from before the charm", layout.MainFile))
			begun := charmtest.Run(t, "config-changed", owned(""))
			require.Equal(t, "active: VIP ready: holds "+vip, begun.Juju.Status.String())
			begun.Host.Files[layout.ForeignFile] = text + before
			require.Contains(t, charmtest.Run(t, "update-status", begun.State).Juju.Status.String(), vip+" belongs to the keepalived.conf from before the charm")
		})
	}
}

// TestAStaticAddressOfTheOwnersIsTheMachinesOwn: keepalived puts it on and never moves it.
func TestAStaticAddressOfTheOwnersIsTheMachinesOwn(t *testing.T) {
	static := func(s *charmtest.State) {
		s.Host.Files[layout.MainFile] = "static_ipaddress {\n    10.10.74.11/24 dev eth0\n}\n" + s.Host.Files[layout.MainFile]
	}
	plain, out := charmtest.Run(t, "config-changed", owned("")), charmtest.Run(t, "config-changed", with(owned(""), static))
	require.Equal(t, plain.Juju.Status, out.Juju.Status)
	require.Equal(t, plain.Host.Files[out.Layout().Fragment()], out.Host.Files[out.Layout().Fragment()])
	require.Equal(t, plain.Juju.Own("cluster:1")["addresses"], out.Juju.Own("cluster:1")["addresses"])
}

// TestAddressesThatAnInstanceOfBeforeLeftInThePacketFilterAreAdmitted: only the
// unit's own, after the daemon has read that nothing of ours is strict.
func TestAddressesThatAnInstanceOfBeforeLeftInThePacketFilterAreAdmitted(t *testing.T) {
	s := serving(t)
	other := netip.MustParseAddr("10.10.74.200")
	s.Host.Filtered = []netip.Addr{other, netip.MustParseAddr(vip)}
	s.Host.Files[s.Layout().Fragment()] = strings.ReplaceAll(s.Host.Files[s.Layout().Fragment()], "    strict_mode off\n", "")
	out := charmtest.Run(t, "upgrade-charm", s)
	require.Equal(t, step.Admit, out.Steps[len(out.Steps)-1].Action)
	require.Equal(t, []netip.Addr{other}, out.Host.Filtered)
	require.Equal(t, "active: VIP ready: holds "+vip, out.Juju.Status.String())
	require.Empty(t, charmtest.Run(t, "update-status", out.State).Steps)
}

func TestADaemonThatDoesNotFollowItsTrackFileReloads(t *testing.T) {
	s := serving(t)
	s.Host.Keepalived.Deaf = true
	out := charmtest.Run(t, "update-status", s)
	require.Equal(t, s.Host.Keepalived.Reloads+1, out.Host.Keepalived.Reloads)
	require.Equal(t, "active: VIP ready: holds "+vip, out.Juju.Status.String())
	require.Empty(t, charmtest.Run(t, "update-status", out.State).Steps)
}

func TestAUnitThatNothingMovesSaysSoUntilItIsMended(t *testing.T) {
	t.Parallel()
	s := holding(t, "true")
	s.Host.Keepalived.Deaf, s.Host.Keepalived.Unwatched, s.Host.Scarce = true, true, facts.Inotify{Kind: facts.InotifyInstances, Limit: 128}
	const said = "keepalived does not follow the health check, all 128 inotify instances are in use: sysctl -w fs.inotify.max_user_instances=512"
	for range 2 {
		out := charmtest.Run(t, "update-status", s)
		require.Equal(t, "waiting: "+said, out.Juju.Status.String())
		require.Empty(t, out.Steps, "a reload would not help")
		require.True(t, out.Host.Reminded, "it looks again")
		s = out.State
	}
	require.Equal(t, "cannot fail over: "+said, act(t, "failover", s).Juju.Failure)
	paused := act(t, "pause", s)
	require.Equal(t, "paused, once this is mended: "+said, paused.Juju.Results["summary"])
	require.Contains(t, act(t, "check-network", s).Juju.Results["conflicts"], said)
	s.Host.Scarce = facts.Inotify{}
	out := charmtest.Run(t, charmtest.Refresh, s)
	require.Equal(t, "active: VIP ready: holds "+vip, out.Juju.Status.String())
	failover := act(t, "failover", s)
	require.Empty(t, failover.Juju.Failure, "it mends what it can")
}

// TestADaemonThatKnowsATrackFileAndDoesNotWatchItSaysSo: what a reload reads is old at once.
func TestADaemonThatKnowsATrackFileAndDoesNotWatchItSaysSo(t *testing.T) {
	t.Parallel()
	s := holding(t, "true")
	s.Host.Keepalived.Deaf, s.Host.Keepalived.Unwatched, s.Host.Scarce = true, true, facts.Inotify{Kind: facts.InotifyWatches, Limit: 8192}
	for _, reloads := range []int{1, 0, 0} {
		out := charmtest.Run(t, "update-status", s)
		require.Equal(t, s.Host.Keepalived.Reloads+reloads, out.Host.Keepalived.Reloads, "a reload tells it what the file says now, and no more")
		require.Equal(t, "waiting: keepalived does not follow the health check, all 8192 inotify watches are in use: sysctl -w fs.inotify.max_user_watches=16384", out.Juju.Status.String())
		require.True(t, out.Host.Reminded, "it looks again")
		s = out.State
	}
	s.Host.Scarce = facts.Inotify{}
	out := charmtest.Run(t, charmtest.Refresh, s)
	require.Equal(t, "active: VIP ready: holds "+vip, out.Juju.Status.String())
	require.Empty(t, charmtest.Run(t, "update-status", out.State).Steps)
}

// TestAUnitServesWithoutItsNotifier, tells its peers, and says what is lacking.
func TestAUnitServesWithoutItsNotifier(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{facts.InotifyInstances, facts.InotifyWatches} {
		s := option(charmtest.NewState(0), "virtual_ip", vip)
		s.Juju.Relate("cluster", "cluster:1", juju.Unit{Application: "keepalived", Number: 1})
		s.Host.Scarce, s.Host.Holds = facts.Inotify{Kind: kind, Limit: 128}, true
		s = run(t, s, "install", "config-changed", "start")
		require.Contains(t, s.Juju.Status.Message, "sysctl -w fs.inotify.max_user_"+kind+"=512")
		require.NotEmpty(t, s.Juju.Own("cluster:1")["vrrp"])
		s.Host.Keepalived.Deaf, s.Host.Keepalived.Unwatched = false, false
		s = run(t, option(s, "router_id", 51), "config-changed")
		require.Empty(t, s.Host.Pinned)
		s.Host.Scarce = facts.Inotify{}
		s = run(t, s, "update-status")
		require.NotContains(t, s.Juju.Status.Message, "late")
		require.Empty(t, s.Host.Stale("keepalived"))
	}
}

func TestSettingsThatDriftArePutBack(t *testing.T) {
	s := serving(t)
	const setting = "net.ipv4.ip_nonlocal_bind"
	s.Host.Settings[setting] = "0"
	out := charmtest.Run(t, "update-status", s)
	require.Equal(t, "1", out.Host.Settings[setting])
	require.Empty(t, charmtest.Run(t, "update-status", out.State).Steps)
	gone := run(t, out.State, "stop", "remove")
	require.Equal(t, "0", gone.Host.Settings[setting])
	delete(s.Host.Settings, setting) // as those of IPv6 on a machine without
	require.Empty(t, charmtest.Run(t, "update-status", s).Steps)
}

func TestSettingsThatMayNotBeWrittenAreLeft(t *testing.T) {
	s := serving(t)
	const setting = "net.ipv4.ip_nonlocal_bind"
	s.Host.Settings[setting], s.Host.Fixed = "0", []string{setting}
	out := charmtest.Run(t, "update-status", s)
	require.Empty(t, out.Steps)
	require.Equal(t, "active: VIP ready: holds "+vip, out.Juju.Status.String())
	s.Host.Holds, s.Host.Check.Healthy, s.Host.Check.Reason = false, false, "refused"
	out = charmtest.Run(t, "update-status", s)
	require.Empty(t, out.Steps)
	require.Contains(t, out.Juju.Status.Message, "; net.ipv4.ip_nonlocal_bind is off and cannot be set here")
}
