package checker

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"keepalived-charm/internal/vrrp"
)

const (
	sickStandby    = 0
	sickHolder     = vrrp.HolderWeight
	healthyStandby = vrrp.HealthyWeight
	healthyHolder  = vrrp.HealthyWeight + vrrp.HolderWeight
)

// mixedHolder is a healthy holder beside units of the Python charm.
var mixedHolder = vrrp.Policy{Mixed: true}.Adjustment(true, true)

// newElection is one unit with peers and one instance whose file says found.
func newElection(found int) *election {
	return &election{peers: true, health: health{fall: 3, rise: 2}, members: []member{{found: found}}}
}

// fail gives n failures at now and returns how many instances step aside.
func fail(e *election, n int, now time.Time) int {
	aside := 0
	for range n {
		_, a := e.observe(false, now)
		aside += a
	}
	return aside
}

func TestUntilTheFirstVerdictTheFileKeepsItsHealth(t *testing.T) {
	for _, c := range []struct {
		found    int
		policy   vrrp.Policy
		holder   bool
		expected int
		why      string
	}{
		{healthyHolder, vrrp.Policy{}, true, healthyHolder, "a restart changes nothing on a healthy holder"},
		{sickHolder, vrrp.Policy{}, true, sickHolder, "nor on a sick one"},
		{healthyStandby, vrrp.Policy{}, false, healthyStandby, "nor on a standby"},
		{healthyHolder, vrrp.Policy{}, false, healthyStandby, "an address lost in between is taken in"},
		{sickStandby, vrrp.Policy{}, true, sickHolder, "one that came too"},
		{vrrp.StepAside, vrrp.Policy{}, false, sickStandby, "a step aside left behind does not keep the unit out"},
		{vrrp.StepAside, vrrp.Policy{DropAllUnhealthy: true}, false, vrrp.StepAside, "a sick unit that drops stays out"},
		{sickStandby, vrrp.Policy{DropAllUnhealthy: true}, false, sickStandby, "nobody drops without a verdict"},
		{healthyStandby, vrrp.Policy{Preempt: true}, true, healthyStandby, "holding counts for nothing with pre-emption"},
		{vrrp.HeldBackWeight, vrrp.Policy{}, false, vrrp.HeldBackWeight, "a unit that was held back still is"},
		{vrrp.HeldBackWeight, vrrp.Policy{}, true, healthyHolder, "unless it is the holder by now"},
		{mixedHolder, vrrp.Policy{}, true, healthyHolder, "health outlives a change of policy"},
		{healthyHolder, vrrp.Policy{Mixed: true}, true, mixedHolder, "in either direction"},
		{vrrp.HeldBackWeight, vrrp.Policy{Mixed: true}, false, mixedHolder - vrrp.HolderWeight, "a mixed group holds nobody back"},
	} {
		t.Run(c.why, func(t *testing.T) {
			e := newElection(c.found)
			e.policy = c.policy
			e.hold(0, c.holder)
			fail(e, 2, time.Now())
			require.Equal(t, c.expected, e.value(0))
		})
	}
}

func TestAHolderThatTurnsSickStepsAside(t *testing.T) {
	now := time.Now()
	e := newElection(0)
	e.hold(0, true)
	e.observe(true, now)
	require.Equal(t, healthyHolder, e.value(0))
	require.Equal(t, 0, fail(e, 2, now))
	require.Equal(t, healthyHolder, e.value(0))
	require.Equal(t, 1, fail(e, 1, now))
	require.Equal(t, vrrp.StepAside, e.value(0))
	require.Equal(t, now.Add(asideLimit), e.expire(now))

	t.Run("until its address is gone", func(t *testing.T) {
		e := *e
		e.members = []member{e.members[0]}
		require.True(t, e.hold(0, false))
		require.Equal(t, sickStandby, e.value(0))
		require.Zero(t, e.expire(now))
	})
	t.Run("or the time for it is over", func(t *testing.T) {
		require.NotZero(t, e.expire(now.Add(asideLimit-1)))
		require.Equal(t, vrrp.StepAside, e.value(0))
		require.Zero(t, e.expire(now.Add(asideLimit)))
		require.Equal(t, sickHolder, e.value(0))
	})
	t.Run("and not again within ten seconds", func(t *testing.T) {
		e.observe(true, now)
		e.observe(true, now)
		require.Equal(t, healthyHolder, e.value(0))
		require.Equal(t, 0, fail(e, 3, now.Add(asideGap-1)))
		require.Equal(t, sickHolder, e.value(0))
		e.observe(true, now)
		e.observe(true, now)
		require.Equal(t, 1, fail(e, 3, now.Add(asideGap)))
	})
}

func TestNobodyStepsAsideWithoutAReason(t *testing.T) {
	now := time.Now()
	for name, change := range map[string]func(*election){
		"without peers":              func(e *election) { e.peers = false },
		"a standby":                  func(e *election) { e.hold(0, false) },
		"at the start":               func(e *election) { e.health.verdict = unknown },
		"with a policy that drops":   func(e *election) { e.policy.DropAllUnhealthy = true },
		"a service that stayed sick": func(e *election) { e.health.verdict = sick },
	} {
		t.Run(name, func(t *testing.T) {
			e := newElection(0)
			e.hold(0, true)
			e.observe(true, now)
			change(e)
			require.Equal(t, 0, fail(e, 9, now))
		})
	}
}

// TestAnOperatorsWordCountsBeforeAVerdict: a checker that has just begun obeys too.
func TestAnOperatorsWordCountsBeforeAVerdict(t *testing.T) {
	now := time.Now()
	e := newElection(0)
	e.hold(0, true)
	require.Equal(t, unknown, e.health.verdict)
	e.stepAside(now)
	require.Equal(t, vrrp.StepAside, e.value(0))
	e.expire(now.Add(asideLimit))
	require.NotEqual(t, vrrp.StepAside, e.value(0), "once")
}

// TestElectionInvariants walks random results, moves of the addresses and times.
func TestElectionInvariants(t *testing.T) {
	for seed := range uint64(300) {
		random := rand.New(rand.NewPCG(seed, 7))
		coin := func() bool { return random.IntN(2) == 0 }
		e := &election{
			policy:  vrrp.Policy{Preempt: coin(), DropAllUnhealthy: coin()},
			peers:   coin(),
			health:  health{fall: 2 + random.IntN(3), rise: 1 + random.IntN(3)},
			members: make([]member, 1+random.IntN(3)),
		}
		walk(t, random, e, fmt.Sprintf("seed %d: %+v", seed, e))
	}
}

func walk(t *testing.T, random *rand.Rand, e *election, what string) {
	now := time.Now()
	start, lastAside := now, time.Time{}
	for range 300 {
		now = now.Add(time.Duration(random.IntN(900)) * time.Millisecond)
		e.expire(now)
		before, values := e.health.verdict, valuesOf(e)
		if random.IntN(4) == 0 {
			e.hold(random.IntN(len(e.members)), random.IntN(2) == 0)
		} else {
			passes := e.health.passes
			_, aside := e.observe(random.IntN(3) > 0, now)
			if e.health.failed == 1 {
				require.Equal(t, values, valuesOf(e), "one failure moves nothing: %s", what)
			}
			if aside > 0 {
				require.True(t, e.peers && !e.policy.DropAllUnhealthy && before == healthy && passes == 0, what)
				require.True(t, lastAside.IsZero() || now.Sub(lastAside) >= asideGap, what)
				lastAside = now
			}
		}
		for i, v := range valuesOf(e) {
			settled := e.policy.Adjustment(e.health.verdict == healthy, e.members[i].holder)
			if e.health.verdict == healthy && e.damping.heldBack() && !e.members[i].holder {
				settled = vrrp.HeldBackWeight
			}
			switch {
			case e.health.verdict == unknown:
				require.NotEqual(t, vrrp.StepAside, v, what)
			case v == vrrp.StepAside && !e.policy.DropAllUnhealthy:
				require.True(t, e.members[i].holder && e.health.verdict == sick, what)
				require.True(t, now.Sub(lastAside) < asideLimit && now.After(start), what)
			default:
				require.Equal(t, settled, v, what)
			}
		}
	}
}

func valuesOf(e *election) []int {
	all := make([]int, len(e.members))
	for i := range all {
		all[i] = e.value(i)
	}
	return all
}
