package main

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/juju/names/v5"
	"github.com/juju/worker/v3"
	"github.com/juju/worker/v3/dependency"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/juju/juju/api"
	"github.com/juju/juju/api/base"
	"github.com/juju/juju/rpc/params"
)

// controller answers calls; nothing else is asked of it.
type controller struct {
	api.Connection
	url   string
	calls int
}

func (c *controller) APICall(_ string, _ int, _, method string, _, response any) error {
	c.calls++
	switch response := response.(type) {
	case *params.StringBoolResults:
		response.Results = []params.StringBoolResult{{Result: c.url, Ok: true}}
	case *params.RetryStrategyResults:
		response.Results = []params.RetryStrategyResult{{Result: &params.RetryStrategy{MinRetryTime: 5 * time.Second, MaxRetryTime: 5 * time.Minute}}}
	}
	return nil
}

// unitCalls is what units' workers use, with the controller behind it.
func unitCalls(t *testing.T, c *calls, behind *controller) base.APICaller {
	t.Helper()
	c.unit, c.known = names.NewUnitTag("keepalived/0"), map[string][]byte{}
	m := c.wrap(dependency.Manifold{Output: func(_ worker.Worker, out any) error {
		*out.(*api.Connection) = behind
		return nil
	}})
	var caller base.APICaller
	require.NoError(t, m.Output(nil, &caller))
	var conn api.Connection
	require.NoError(t, m.Output(nil, &conn))
	assert.Equal(t, caller, base.APICaller(conn))
	return caller
}

func TestAUnitIsHeldAtItsCharm(t *testing.T) {
	c, behind := &calls{dir: t.TempDir()}, &controller{url: "local:keepalived-0"}
	unit := unitCalls(t, c, behind)
	told := func(tag string) string {
		var all params.StringBoolResults
		require.NoError(t, unit.APICall("Uniter", 18, "", "CharmURL", params.Entities{Entities: []params.Entity{{Tag: tag}}}, &all))
		return all.Results[0].Result
	}
	require.Equal(t, "local:keepalived-0", told("application-keepalived"))
	held := filepath.Join(c.dir, "unit-keepalived-0.held")
	require.NoError(t, os.WriteFile(held, nil, 0o644))
	behind.url = "local:keepalived-1"
	require.Equal(t, "local:keepalived-0", told("application-keepalived"))
	require.Equal(t, "local:keepalived-1", told("application-haproxy"), "was not asked before")
	require.NoError(t, os.Remove(held))
	require.Equal(t, "local:keepalived-1", told("application-keepalived"))
}

func TestSingleCallsAreRefused(t *testing.T) {
	c, behind := &calls{dir: t.TempDir()}, &controller{}
	unit := unitCalls(t, c, behind)
	file := filepath.Join(c.dir, "unit-keepalived-0.refused")
	require.NoError(t, os.WriteFile(file, []byte("Uniter.CommitHookChanges\nUniter.CommitHookChanges\nUniter.State\n"), 0o644))
	for range 2 {
		require.EqualError(t, unit.APICall("Uniter", 18, "", "CommitHookChanges", nil, nil), "the lab refuses this call: Uniter.CommitHookChanges")
	}
	require.Zero(t, behind.calls)
	require.NoError(t, unit.APICall("Uniter", 18, "", "CommitHookChanges", nil, nil))
	require.Error(t, unit.APICall("Uniter", 18, "", "State", nil, nil))
	require.NoError(t, unit.APICall("Uniter", 18, "", "State", nil, nil))
	require.NoError(t, unit.APICall("Uniter", 18, "", "", nil, nil))
	require.Equal(t, 3, behind.calls)
}

func TestHooksAreRunAgainSooner(t *testing.T) {
	for _, row := range []struct{ longest, least, most time.Duration }{
		{0, 5 * time.Second, 5 * time.Minute},
		{2 * time.Second, 2 * time.Second, 2 * time.Second},
		{time.Minute, 5 * time.Second, time.Minute},
	} {
		unit := unitCalls(t, &calls{dir: t.TempDir(), retry: row.longest}, &controller{})
		var all params.RetryStrategyResults
		require.NoError(t, unit.APICall("RetryStrategy", 1, "", "RetryStrategy", nil, &all))
		require.Equal(t, &params.RetryStrategy{MinRetryTime: row.least, MaxRetryTime: row.most}, all.Results[0].Result)
	}
}
