package main

import (
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"keepalived-charm/tests/controller"
)

func TestHookToolsAnswerAsWithAController(t *testing.T) {
	l := newLab(t, controller.Config{})
	l.deploy(1)
	require.NoError(t, l.OpenPort("haproxy/0", "443/tcp"))
	_, err := l.Integrate("sub:website", "haproxy:reverseproxy")
	require.NoError(t, err)
	l.settled()
	require.NoError(t, l.SetAddresses("0",
		controller.Address{Value: "10.9.0.10", CIDR: "10.9.0.0/24", Interface: "eth0", MAC: "02:00:00:00:00:00"},
		controller.Address{Value: "10.9.0.100", CIDR: "10.9.0.100/32", Interface: "eth0", MAC: "02:00:00:00:00:00"}))
	l.settled()
	for _, tc := range []struct{ claim, command, want string }{
		{"options without value are left out", "config-get --format=json", `{"color":"red","fail":false,"slow":0}`},
		{"all of them on request", "config-get --all --format=json", `{"color":"red","fail":false,"size":null,"slow":0}`},
		{"network-get lists what Juju knows of, the second address too", "network-get cluster --format=json",
			`{"bind-addresses":[{"mac-address":"02:00:00:00:00:00","interface-name":"eth0","addresses":[` +
				`{"hostname":"","value":"10.9.0.10","cidr":"10.9.0.0/24"},{"hostname":"","value":"10.9.0.100","cidr":"10.9.0.100/32"}]}],` +
				`"egress-subnets":["10.9.0.10/32"],"ingress-addresses":["10.9.0.10","10.9.0.100"]}`},
		{"unknown binding", "network-get nope 2>&1 || echo exit $?",
			`ERROR no network config found for binding "nope"` + "\nexit 1"},
		{"a port of the principal cannot be opened", "open-port 443/tcp 2>&1 || echo exit $?",
			`ERROR cannot open 443/tcp (unit "sub/0"): port range conflicts with 443/tcp (unit "haproxy/0")` + "\nexit 1"},
		{"opened ports are the unit's own", "opened-ports --format=json", `["80/tcp"]`},
		{"the only unit leads", "is-leader --format=json", "true"},
		{"leader data", "leader-set a=b && leader-get --format=json", `{"a":"b"}`},
		{"state of the unit", "state-set k=v && state-get --format=json", `{"k":"v"}`},
		{"status", "status-get --include-data --format=json",
			`{"message":"color red edition 0","status":"active","status-data":{}}`},
		{"relations", "relation-ids website --format=json", `["website:2"]`},
		{"members", "relation-list -r website:2 --format=json", `["haproxy/0"]`},
		{"the other application", "relation-list -r website:2 --app --format=json", `"haproxy"`},
		{"unknown relation", "relation-get -r 77 - haproxy/0 2>&1 || echo exit $?",
			`ERROR invalid value "77" for option -r: relation not found` + "\nexit 2"},
		{"a unit that never was there", "relation-get -r website:2 - haproxy/9 2>&1 || echo exit $?",
			`ERROR cannot read settings for unit "haproxy/9" in relation "haproxy:reverseproxy sub:website": unit "haproxy/9": settings not found` + "\nexit 1"},
		{"principal", "echo $JUJU_PRINCIPAL_UNIT $JUJU_MACHINE_ID $JUJU_VERSION", "haproxy/0 0 3.5.4"},
		{"input is read from a pipe", "echo 'x: \"1\"' | relation-set -r website:2 --file - && relation-get -r website:2 x sub/0", "1"},
	} {
		t.Run(tc.claim, func(t *testing.T) {
			out, err := l.exec("sub/0", tc.command)
			require.NoError(t, err, out)
			require.Equal(t, tc.want+"\n", out)
		})
	}
	t.Run("goal-state", func(t *testing.T) {
		out, err := l.exec("sub/0", "goal-state --format=json")
		require.NoError(t, err, out)
		require.Contains(t, out, `"website":{"haproxy":{"status":"joined"`)
	})
}

func TestASecretOfTheOperatorIsReadAndItsChangesAreTold(t *testing.T) {
	l := newLab(t, controller.Config{})
	l.deploy(1)
	uri, err := l.AddSecret(map[string]string{"password": "first"})
	require.NoError(t, err)
	says := func(want, command string) {
		t.Helper()
		out, err := l.exec("sub/0", command+" 2>&1 || echo exit $?")
		require.NoError(t, err, out)
		require.Equal(t, want+"\n", out)
	}
	get := "secret-get --format=json " + uri
	says("ERROR permission denied\nexit 1", get)
	says(`ERROR secret "9m4e2mr0ui3e8a215n4g" not found`+"\nexit 1", "secret-get secret:9m4e2mr0ui3e8a215n4g")
	require.NoError(t, l.GrantSecret(uri, "sub"))
	says(`{"password":"first"}`, get)
	says("first", "secret-get "+uri+" password")
	l.settled()
	since := time.Now()
	require.NoError(t, l.UpdateSecret(uri, map[string]string{"password": "next"}))
	_, err = l.WaitEvent(t.Context(), since, func(e controller.Event) bool {
		return e.Kind == controller.HookEnd && e.Name == "secret-changed"
	})
	require.NoError(t, err)
	says(`{"password":"first"}`, get)
	says(`{"password":"next"}`, get+" --peek")
	says(`{"password":"first"}`, get)
	says(`{"password":"next"}`, get+" --refresh")
	says(`{"password":"next"}`, get)
	l.settled()
	require.Equal(t, []string{"secret-changed"}, l.Hooks("sub/0", since), "once")
	for _, content := range []map[string]string{nil, {"pw": "x"}, {"Password": "x"}} {
		_, err := l.AddSecret(content)
		require.Error(t, err)
		require.Error(t, l.UpdateSecret(uri, content))
	}
	require.ErrorContains(t, l.GrantSecret("secret:none", "sub"), "not found")
	require.ErrorContains(t, l.GrantSecret(uri, "nobody"), "not found")
}

func TestAgentKilledInAHookRunsItAgain(t *testing.T) {
	l := newLab(t, controller.Config{RetryMin: time.Second})
	l.deploy(1)
	now := time.Now()
	require.NoError(t, l.SetConfig("sub", map[string]string{"slow": "2"}))
	begun := func(e controller.Event) bool {
		return e.Kind == controller.HookBegin && e.Name == "config-changed"
	}
	_, err := l.WaitEvent(t.Context(), now, begun)
	require.NoError(t, err)
	p := l.process("sub/0")
	require.NoError(t, p.cmd.Process.Signal(syscall.SIGKILL))
	<-p.done
	l.wait("the loss noticed", func(s controller.Snapshot) bool { u, _ := s.Unit("sub/0"); return !u.Connected })
	now = time.Now()
	l.start("sub/0")
	_, err = l.WaitEvent(t.Context(), now, begun)
	require.NoError(t, err)
	l.wait("idle", func(s controller.Snapshot) bool { u, _ := s.Unit("sub/0"); return u.Agent.Status == "idle" })
	l.settled()
	require.Contains(t, l.Hooks("sub/0", now), "config-changed")
}

func TestAfterARebootStartRunsAgain(t *testing.T) {
	l := newLab(t, controller.Config{})
	l.deploy(1)
	restart := func(reboot bool) []string {
		p := l.process("sub/0")
		require.NoError(t, p.cmd.Process.Signal(syscall.SIGTERM))
		<-p.done
		require.True(t, p.cmd.ProcessState.Success())
		if reboot {
			require.NoError(t, os.RemoveAll(l.home("sub/0")+"/run"))
		}
		now := time.Now()
		l.start("sub/0")
		l.wait("connection", func(s controller.Snapshot) bool { u, _ := s.Unit("sub/0"); return u.Connected })
		l.settled()
		return l.Hooks("sub/0", now)
	}
	require.Empty(t, restart(false), "a restarted agent of a leader runs nothing")
	require.Equal(t, []string{"start"}, restart(true))
}
