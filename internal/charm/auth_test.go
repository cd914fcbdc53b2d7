package charm_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"keepalived-charm/internal/charmtest"
	"keepalived-charm/internal/layout"
)

const secret = "secret:9m4e2mr0ui3e8a215n4g"

// authenticated is a serving unit whose operator wants a password.
func authenticated(t *testing.T, password string) charmtest.State {
	s := option(option(serving(t), "vrrp_version", "2"), "advert_interval", 1)
	s.Juju.Secrets = map[string]map[string]string{secret: {"password": password}}
	return option(s, "vrrp_auth_secret", secret)
}

func TestAPasswordComesFromASecretAndGoesNowhereElse(t *testing.T) {
	out := charmtest.Run(t, "config-changed", authenticated(t, "hunter2"))
	require.Contains(t, out.Host.Keepalived.Loaded, "auth_pass hunter2\n")
	require.NotContains(t, out.Juju.Databags(), "hunter2")
	require.NotContains(t, strings.Join(out.Juju.Lines, "\n"), "hunter2")
	require.NotContains(t, out.Juju.Status.Message, "hunter2")
	shown := charmtest.Run(t, "actions/get-configuration", out.State).Juju.Results["fragment"]
	require.Contains(t, shown, "auth_pass ********\n")
	require.NotContains(t, shown, "hunter2")
	changed := out.State
	changed.Juju.Secrets = map[string]map[string]string{secret: {"password": "hunter3"}}
	require.Contains(t, charmtest.Run(t, "secret-changed", changed).Host.Keepalived.Loaded, "auth_pass hunter3\n")
}

// TestARouterThatBeginsWhileThePasswordChangesHasOneAsTheOthersDo, in the hook of a unit that
// sees both changes: without one it would not hear the unit that saw the first alone.
func TestARouterThatBeginsWhileThePasswordChangesHasOneAsTheOthersDo(t *testing.T) {
	c := charmtest.NewCluster(t, clusterOptions())
	c.Set(map[string]any{"virtual_ip": "10.10.74.250 10.10.74.251", "spread": true, "vrrp_version": "2", "advert_interval": 1, "vrrp_auth_secret": secret})
	changes := func(password string) {
		for _, n := range c.Nodes {
			n.Juju.Secrets = map[string]map[string]string{secret: {"password": password}}
			n.Await("secret-changed")
		}
	}
	for range 2 {
		c.Add()
	}
	changes("old")
	rest(t, c)
	c.Set(map[string]any{"virtual_ip": threeVIPs})
	work(c, c.Nodes[0])
	changes("new")
	for _, password := range []string{"old", "new"} {
		work(c, c.Nodes[1])
		for _, n := range c.Nodes {
			loaded := n.Host.Keepalived.Loaded
			require.Equal(t, 3, strings.Count(loaded, "vrrp_instance"), loaded)
			require.Equal(t, 3, strings.Count(loaded, "auth_pass "+password+"\n"), loaded)
		}
		rest(t, c)
	}
}

func TestAPasswordIsHiddenWhereverItStands(t *testing.T) {
	for _, line := range []string{
		"auth_pass hunter2", "\tauth_pass\thunter2", "authentication { auth_pass hunter2", "@host auth_pass hunter2", "@^host  auth_pass \"hunter2 hunter2\"",
		"authentication { auth_type PASS auth_pass hunter2 }", "auth_pass \\\n  hunter2",
	} {
		s := with(serving(t), func(s *charmtest.State) { s.Host.Files[layout.MainFile] += "by hand {\n" + line + "\nafter it\n}\n" })
		for _, shown := range []string{"keepalived-conf", "json"} {
			text := act(t, "get-configuration", s).Juju.Results[shown]
			require.NotContains(t, text, "hunter2", line)
			require.Contains(t, text, "after it", line)
		}
	}
}

func TestAConfigurationOfTheMachinesOwnerIsNotShown(t *testing.T) {
	s := charmtest.NewState(0)
	s.Host.Installed, s.Host.Files[layout.MainFile] = true, before
	for claim, s := range map[string]charmtest.State{
		"before the charm serves": s,
		"beside it":               charmtest.Run(t, "config-changed", option(s, "virtual_ip", vip)).State,
	} {
		for key, text := range act(t, "get-configuration", s).Juju.Results {
			require.NotContains(t, text, "vrrp_instance mine", claim+", "+key)
		}
	}
}

func TestAPasswordThatCannotBeUsedBlocks(t *testing.T) {
	for claim, c := range map[string]struct {
		change func(*charmtest.State)
		want   string
	}{
		"not granted": {func(s *charmtest.State) { s.Juju.Secrets = nil }, "juju grant-secret " + secret + " keepalived"},
		"another key": {func(s *charmtest.State) {
			s.Juju.Secrets = map[string]map[string]string{secret: {"pass": "x"}}
		}, secret + " has no key password: juju update-secret " + secret + " password=PASSWORD"},
		"too long": {func(s *charmtest.State) {
			s.Juju.Secrets = map[string]map[string]string{secret: {"password": "ninechars"}}
		}, "must be 1-8 letters"},
		"a brace": {func(s *charmtest.State) {
			s.Juju.Secrets = map[string]map[string]string{secret: {"password": "a}"}}
		}, "must be 1-8 letters"},
		"version 3":  {func(s *charmtest.State) { s.Juju.Options["vrrp_version"] = "3" }, "must be empty unless vrrp_version is 2"},
		"plain text": {func(s *charmtest.State) { s.Juju.Options["vrrp_auth_secret"] = "hunter2" }, "the URI of a secret"},
	} {
		s := with(authenticated(t, "hunter2"), c.change)
		out := charmtest.Run(t, "config-changed", s)
		require.Contains(t, out.Juju.Status.String(), "blocked: option vrrp_auth_secret", claim)
		require.Contains(t, out.Juju.Status.Message, c.want, claim)
		require.Equal(t, s.Host.Keepalived, out.Host.Keepalived, claim)
		require.Equal(t, s.Host.Files, out.Host.Files, claim)
	}
}
