package controller_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/juju/names/v5"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/juju/juju/api"
	"github.com/juju/juju/api/agent/uniter"

	"keepalived-charm/tests/juju/client"
	"keepalived-charm/tests/juju/controller"
)

// patience guards against hanging; nothing takes as long, on a slow machine either.
const patience = 2 * time.Minute

// asClient, set in the environment, makes this program Juju's client.
const asClient = "CONTROLLER_TEST_AS_CLIENT"

func TestMain(m *testing.M) {
	if os.Getenv(asClient) != "" {
		os.Exit(client.Main(os.Args[1:]))
	}
	code := m.Run()
	if packing != "" {
		if err := os.RemoveAll(packing); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}

// site is a controller with Juju's client, and charms in a directory.
type site struct {
	*controller.Controller
	t      *testing.T
	charms string
}

// newSite starts a controller that ends with the test, which fails where the controller
// reports.
func newSite(t *testing.T) *site { return newSiteWith(t, controller.Config{}) }

// newSiteWith is newSite with more of a configuration.
func newSiteWith(t *testing.T, config controller.Config) *site {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	begin := time.Now()
	config.Directory = t.TempDir()
	config.Report = func(err error) { t.Errorf("reported: %v", err) }
	c, err := controller.Start(ctx, config)
	require.NoError(t, err)
	t.Logf("ready after %v", time.Since(begin).Round(time.Millisecond))
	t.Cleanup(func() { assert.NoError(t, c.Close()) })
	return &site{Controller: c, t: t, charms: t.TempDir()}
}

// run runs Juju's client as a program.
func (s *site) run(args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(s.t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, os.Args[0], args...)
	cmd.Dir = s.charms
	cmd.Env = append(os.Environ(), asClient+"=1", "JUJU_DATA="+s.ClientStore(), "HOME="+s.charms)
	out, err := cmd.CombinedOutput()
	return strings.TrimSpace(string(out)), err
}

// juju types a command that works, such as "config keepalived port", and returns what it
// says.
func (s *site) juju(command string) string {
	s.t.Helper()
	out, err := s.run(strings.Fields(command)...)
	require.NoError(s.t, err, "juju %s: %s", command, out)
	return out
}

// refused types a command that Juju refuses, and returns what it says.
func (s *site) refused(command string) string {
	s.t.Helper()
	out, err := s.run(strings.Fields(command)...)
	require.Error(s.t, err, "juju %s: %s", command, out)
	return out
}

// machines adds machines with Ubuntu 22.04.
func (s *site) machines(addresses ...string) {
	s.t.Helper()
	for _, address := range addresses {
		_, err := s.AddMachine("22.04", address)
		require.NoError(s.t, err)
	}
}

// haproxy deploys the charm to protect to two machines with Ubuntu 22.04.
func (s *site) haproxy() {
	s.t.Helper()
	s.machines("10.0.0.1", "10.0.0.2")
	s.standIn("haproxy")
	s.juju("deploy ./haproxy --base ubuntu@22.04 -n 2 --to 0,1")
}

// enter does what the agent of a principal unit does first for a relation: it logs in and
// enters the relation's scope (its name begins with who requires), upon which Juju makes the subordinate unit.
func (s *site) enter(unit, relation string) {
	s.t.Helper()
	login, err := s.Login(names.NewUnitTag(unit))
	require.NoError(s.t, err)
	conn, err := api.Open(&api.Info{
		Addrs: login.Addresses, CACert: login.CACert, ModelTag: names.NewModelTag(login.ModelUUID),
		Tag: names.NewUnitTag(unit), Password: login.Password,
	}, api.DefaultDialOpts())
	require.NoError(s.t, err)
	defer conn.Close()
	agent, err := uniter.NewFromConnection(conn)
	require.NoError(s.t, err)
	r, err := agent.Relation(names.NewRelationTag(relation))
	require.NoError(s.t, err)
	ru, err := r.Unit(names.NewUnitTag(unit))
	require.NoError(s.t, err)
	require.NoError(s.t, ru.EnterScope())
}

// keepalived deploys the charm beside haproxy, as documented, with a unit on each machine.
func (s *site) keepalived() {
	s.t.Helper()
	s.haproxy()
	s.charm()
	s.juju("deploy ./keepalived.charm --base ubuntu@22.04")
	s.juju("integrate haproxy keepalived:juju-info")
	for _, unit := range []string{"haproxy/0", "haproxy/1"} {
		s.enter(unit, "keepalived:juju-info haproxy:juju-info")
	}
}

// charm puts the archive of make charm beside the other charms, as keepalived.charm.
func (s *site) charm() {
	s.t.Helper()
	file, err := filepath.Abs(archive(s.t))
	require.NoError(s.t, err)
	require.NoError(s.t, os.Symlink(file, filepath.Join(s.charms, "keepalived.charm")))
}
