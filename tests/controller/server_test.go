package controller

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"keepalived-charm/tests/controller/wire"
)

// served is a model whose sub has an archive, reachable over a socket; the units
// sub/0 and sub/1 wait for agents.
func served(t *testing.T, cfg Config) (*Controller, string) {
	t.Helper()
	c := model(t, cfg)
	dir, err := os.MkdirTemp("", "ctl") // t.TempDir may be too long for a socket
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(dir)) })
	socket := filepath.Join(dir, "s")
	require.NoError(t, c.Serve(socket))
	archive := filepath.Join(dir, "agented.charm")
	require.NoError(t, os.WriteFile(archive, []byte("zip"), 0o644))
	ch := sub
	ch.Path = archive
	require.NoError(t, c.AddApplication(ApplicationSpec{Name: "agented", Charm: ch}))
	integrate(t, c, "agented:juju-info", "haproxy:juju-info")
	return c, socket
}

func dial(t *testing.T, socket, unit string) *wire.Session {
	t.Helper()
	s, err := wire.Dial(t.Context(), socket, unit)
	require.NoError(t, err)
	t.Cleanup(s.Close)
	return s
}

type tagArgs struct {
	Entities []map[string]string `json:"entities"`
}

func tags(tags ...string) tagArgs {
	var a tagArgs
	for _, t := range tags {
		a.Entities = append(a.Entities, map[string]string{"tag": t})
	}
	return a
}

func setStatus(t *testing.T, s *wire.Session, method, unit, status string) {
	t.Helper()
	args := map[string]any{"entities": []any{map[string]any{"tag": unitTag(unit), "status": status}}}
	require.NoError(t, s.Call("Uniter", 19, "", method, args, nil))
}

func TestAgentsAreToldOfUnitsInOrder(t *testing.T) {
	added := make(chan string, 10)
	removed := make(chan string, 10)
	c, socket := served(t, Config{
		OnUnitAdded:   func(unit, machine string) { added <- unit + "@" + machine },
		OnUnitRemoved: func(unit, _ string) { removed <- unit },
	})
	require.Equal(t, "agented/0@0", <-added)
	require.Equal(t, "agented/1@1", <-added)
	s := dial(t, socket, "agented/0")
	require.NoError(t, c.RemoveUnit("haproxy/0"))
	u, _ := c.Status().Unit("agented/0")
	require.Equal(t, "dying", u.Life, "a unit with an agent ends in the agent's time")
	require.NoError(t, s.Call("Uniter", 19, "", "EnsureDead", tags("unit-agented-0"), nil))
	require.NoError(t, s.Call("Deployer", 1, "", "Remove", tags("unit-agented-0"), nil))
	require.Equal(t, "agented/0", <-removed)
	_, err := wire.Dial(t.Context(), socket, "agented/0")
	require.ErrorIs(t, err, wire.ErrNoUnit)
	require.NotContains(t, unitNames(c, "haproxy"), "haproxy/0", "the principal waited for its subordinate")
}

func TestWatcherReportsEachChangeOnce(t *testing.T) {
	c, socket := served(t, Config{})
	s := dial(t, socket, "agented/0")
	var got struct {
		Results []struct {
			ID      string   `json:"watcher-id"`
			Changes []string `json:"changes"`
		} `json:"results"`
	}
	require.NoError(t, s.Call("Uniter", 19, "", "WatchConfigSettingsHash", tags("unit-agented-0"), &got))
	require.Len(t, got.Results[0].Changes, 1)
	id, before := got.Results[0].ID, got.Results[0].Changes[0]

	var next struct {
		Changes []string `json:"changes"`
	}
	done := make(chan error, 1)
	go func() { done <- s.Call("StringsWatcher", 1, id, "Next", nil, &next) }()
	require.NoError(t, c.SetConfig("sub", map[string]string{"vip": "another application's"}))
	select {
	case <-done:
		t.Fatal("a change of another application was reported")
	case <-time.After(100 * time.Millisecond):
	}
	require.NoError(t, c.SetConfig("agented", map[string]string{"vip": "10.0.0.9"}))
	require.NoError(t, <-done)
	require.NotEqual(t, before, next.Changes[0])

	go func() { done <- s.Call("StringsWatcher", 1, id, "Next", nil, &next) }()
	require.NoError(t, s.Call("StringsWatcher", 1, id, "Stop", nil, nil))
	err := <-done // not found if Next came after Stop, which agents take for the same
	require.Regexp(t, "stopped|not found", err, "Stop ends a waiting Next")
}

func TestDownCutsAgentsAndUpLetsThemBack(t *testing.T) {
	c, socket := served(t, Config{})
	s := dial(t, socket, "agented/0")
	c.Down()
	select {
	case <-s.Done():
	case <-time.After(time.Minute):
		t.Fatal("the session goes on")
	}
	require.ErrorIs(t, s.Call("Uniter", 19, "", "CurrentModel", nil, nil), wire.ErrLost)
	_, err := wire.Dial(t.Context(), socket, "agented/0")
	require.Error(t, err)
	require.NotErrorIs(t, err, wire.ErrNoUnit)
	require.FileExists(t, socket, "the socket stays, it may be mounted elsewhere")
	c.Up()
	dial(t, socket, "agented/0")
}

func TestSettledSaysWhatIsGoingOn(t *testing.T) {
	c, socket := served(t, Config{})
	// Longer than quiet: what is at rest is settled by then.
	short := func() error {
		ctx, cancel := context.WithTimeout(t.Context(), quiet*3/2)
		defer cancel()
		return c.Settled(ctx)
	}
	require.NoError(t, c.SetMachineDown("1", true))
	require.ErrorContains(t, short(), "agented/0 has no agent")
	s := dial(t, socket, "agented/0")
	require.ErrorContains(t, short(), "agented/0 is allocating")
	begin := time.Now()
	setStatus(t, s, "SetAgentStatus", "agented/0", "idle")
	require.NoError(t, c.Settled(t.Context()), "machine 1 is down and not waited for")
	require.GreaterOrEqual(t, time.Since(begin), quiet, "something has just happened")

	require.NoError(t, s.Call("Lab", 1, "", "Event", wire.Report{Kind: "hook-begin", Name: "start"}, nil))
	require.ErrorContains(t, short(), "runs something")
	require.NoError(t, s.Call("Lab", 1, "", "Event", wire.Report{Kind: "hook-end", Name: "start"}, nil))
	require.NoError(t, c.Settled(t.Context()))
	require.Equal(t, []string{"start"}, c.Hooks("agented/0", time.Time{}))

	id, err := c.EnqueueAction("agented/0", "show", nil)
	require.NoError(t, err)
	require.ErrorContains(t, short(), "has action show")
	require.NoError(t, c.CancelAction(id))
	setStatus(t, s, "SetAgentStatus", "agented/0", "error")
	require.NoError(t, c.Settled(t.Context()), "a unit in error is at rest")
}

func TestAnAgentSpeaksForItsUnitOnly(t *testing.T) {
	_, socket := served(t, Config{})
	s := dial(t, socket, "agented/0")
	var got struct {
		Results []struct {
			Error *wire.Error `json:"error"`
		} `json:"results"`
	}
	for _, method := range []string{"EnsureDead", "ConfigSettings", "State", "Destroy"} {
		require.NoError(t, s.Call("Uniter", 19, "", method, tags("unit-agented-1"), &got))
		require.Equal(t, codeUnauthorized, got.Results[0].Error.Code, method)
	}
	err := s.Call("Uniter", 19, "", "NoSuchMethod", nil, nil)
	require.ErrorContains(t, err, "unknown method Uniter.NoSuchMethod")
}

func TestCommitIsAllOrNothing(t *testing.T) {
	c, socket := served(t, Config{})
	s := dial(t, socket, "agented/0")
	rel, err := c.RelationID("agented:juju-info", "haproxy:juju-info")
	require.NoError(t, err)
	key := "relation-agented.juju-info#haproxy.juju-info"
	require.NoError(t, s.Call("Uniter", 19, "", "EnterScope", map[string]any{
		"relation-units": []any{map[string]any{"relation": key, "unit": "unit-agented-0"}},
	}, nil))
	require.NoError(t, c.OpenPort("haproxy/0", "443/tcp"))
	commit := func(ports []any) *wire.Error {
		var got struct {
			Results []struct {
				Error *wire.Error `json:"error"`
			} `json:"results"`
		}
		require.NoError(t, s.Call("Uniter", 19, "", "CommitHookChanges", map[string]any{"args": []any{map[string]any{
			"tag": "unit-agented-0", "open-ports": ports,
			"relation-unit-settings": []any{map[string]any{"relation": key, "settings": map[string]string{"k": "v"}}},
		}}}, &got))
		return got.Results[0].Error
	}
	refused := commit([]any{map[string]any{"protocol": "tcp", "from-port": 443, "to-port": 443}})
	require.ErrorContains(t, refused, "conflict")
	data, err := c.UnitData(rel, "agented/0")
	require.NoError(t, err)
	require.NotContains(t, data, "k")
	require.Nil(t, commit(nil))
	data, err = c.UnitData(rel, "agented/0")
	require.NoError(t, err)
	require.Equal(t, "v", data["k"])
}

func TestCharmArchiveReachesTheAgent(t *testing.T) {
	c, socket := served(t, Config{})
	path := filepath.Join(t.TempDir(), "x.charm")
	require.NoError(t, os.WriteFile(path, []byte("archive"), 0o644))
	ch := sub
	ch.Path, ch.Revision = path, 5
	require.NoError(t, c.Refresh("agented", ch, false))
	s := dial(t, socket, "agented/0")
	r, err := s.Charm("local:sub-5")
	require.NoError(t, err)
	defer r.Close()
	b, err := io.ReadAll(r)
	require.NoError(t, err)
	require.Equal(t, "archive", string(b))
	_, err = s.Charm("local:haproxy-0")
	require.ErrorContains(t, err, "404", "a model-only application has none to give")
	ch.Path = filepath.Join(t.TempDir(), "missing")
	require.ErrorContains(t, c.Refresh("agented", ch, false), "cannot read charm archive")
}

func TestAHeldUnitHearsOfNoRefresh(t *testing.T) {
	c, socket := served(t, Config{})
	s := dial(t, socket, "agented/0")
	agent := func(method, tag string) any {
		t.Helper()
		var got struct {
			Results []struct {
				Result any `json:"result"`
			} `json:"results"`
		}
		require.NoError(t, s.Call("Uniter", 19, "", method, map[string]any{
			"entities": []any{map[string]any{"tag": tag, "charm-url": "local:sub-0"}}}, &got))
		return got.Results[0].Result
	}
	require.ErrorContains(t, c.HoldCharm("agented/0", true), "it has none")
	agent("SetCharmURL", "unit-agented-0")
	modified := agent("CharmModifiedVersion", "application-agented")
	require.NoError(t, c.HoldCharm("agented/0", true))
	ch := sub
	ch.Path, ch.Revision = filepath.Join(t.TempDir(), "x.charm"), 5
	require.NoError(t, os.WriteFile(ch.Path, []byte("archive"), 0o644))
	require.NoError(t, c.Refresh("agented", ch, false))
	require.Equal(t, "local:sub-0", agent("CharmURL", "application-agented"))
	require.Equal(t, modified, agent("CharmModifiedVersion", "application-agented"))
	require.NoError(t, c.HoldCharm("agented/0", false))
	require.Equal(t, "local:sub-5", agent("CharmURL", "application-agented"))
	require.NotEqual(t, modified, agent("CharmModifiedVersion", "application-agented"))
}
