package checker

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"keepalived-charm/internal/vrrp"
)

// at is a moment of a table, in seconds.
func at(seconds float64) time.Time {
	return time.Unix(1_000_000, 0).Add(time.Duration(seconds * float64(time.Second)))
}

func TestHoldingBack(t *testing.T) {
	type event struct {
		second float64
		does   string // "falls", "recovers", or "" for nothing
		held   float64
	}
	for claim, events := range map[string][]event{
		"a service that comes up for the first time is trusted": {{0, "recovers", 0}},
		"one failure holds back for a minute":                   {{0, "falls", 0}, {2, "recovers", 60}, {61.9, "", 0.1}, {62, "", 0}},
		"a failure while held back doubles it": {
			{0, "falls", 0}, {2, "recovers", 60}, {5, "falls", 0}, {7, "recovers", 120}, {10, "falls", 0}, {12, "recovers", 240}},
		"five minutes are the most": {
			{0, "falls", 0}, {1, "recovers", 60}, {2, "falls", 0}, {3, "recovers", 120}, {4, "falls", 0}, {5, "recovers", 240},
			{6, "falls", 0}, {7, "recovers", 300}, {8, "falls", 0}, {9, "recovers", 300}, {308, "", 1}, {309, "", 0}},
		"a failure soon after it ended counts too": {
			{0, "falls", 0}, {0, "recovers", 60}, {60, "", 0}, {659, "falls", 0}, {659, "recovers", 120}},
		"ten good minutes are forgiven": {
			{0, "falls", 0}, {0, "recovers", 60}, {60, "", 0}, {660, "falls", 0}, {660, "recovers", 60}},
		"a long illness is no long service": {
			{0, "falls", 0}, {0, "recovers", 60}, {61, "falls", 0}, {9000, "recovers", 120}},
	} {
		t.Run(claim, func(t *testing.T) {
			var d damping
			for _, e := range events {
				now := at(e.second)
				switch e.does {
				case "falls":
					d.fell(now)
				case "recovers":
					d.recovered(now)
				}
				next := d.expire(now)
				require.Equal(t, e.held > 0, d.heldBack(), "at %v s", e.second)
				if e.held > 0 {
					require.Equal(t, at(e.second+e.held), next, "at %v s", e.second)
				}
			}
		})
	}
}

func TestDampingNeverFailsManyTimesOver(t *testing.T) {
	var d damping
	for n := range 1000 {
		d.fell(at(float64(n)))
		d.recovered(at(float64(n)))
		require.LessOrEqual(t, d.until.Sub(at(float64(n))), longestHold)
		require.True(t, d.heldBack())
	}
}

// unit is one of three in a table of what a cluster of elections does: the one
// with the highest priority holds.
type unit struct {
	*election
	base int
}

// cluster lets three elections play against each other, once per half second: each
// unit's service works or not, the priorities follow, the best holds.
func cluster(policy vrrp.Policy, works func(unit int, second float64) bool, seconds float64) (holders []int) {
	var units []unit
	for n := range 3 {
		e := newElection(healthyStandby)
		e.policy = policy
		units = append(units, unit{e, int(vrrp.Base(vrrp.Rank(n)))})
	}
	for second := 0.0; second < seconds; second += 0.5 {
		best, most := -1, 0
		for n, u := range units {
			u.observe(works(n, second), at(second))
			u.expire(at(second))
			v := u.value(0)
			if p := u.base + v; v != vrrp.StepAside && p > most {
				best, most = n, p
			}
		}
		for n, u := range units {
			u.hold(0, n == best)
		}
		if len(holders) == 0 || holders[len(holders)-1] != best {
			holders = append(holders, best)
		}
	}
	return holders
}

// flapping is a service that works for 3 s and then does not for 3 s.
func flapping(second float64) bool { return int(second/3)%2 == 0 }

func TestAFlappingServiceMovesTheAddressesOnce(t *testing.T) {
	for _, policy := range []vrrp.Policy{{}, {Preempt: true}, {DropAllUnhealthy: true}, {Preempt: true, DropAllUnhealthy: true}} {
		first := func(n int, second float64) bool { return n != 0 || flapping(second) }
		require.Equal(t, []int{0, 1}, cluster(policy, first, 600), "%+v", policy)
	}
}

func TestAUnitHeldBackServesWhenNoOtherCan(t *testing.T) {
	// The first fails once, the others for good later, while the first is held back.
	works := func(n int, second float64) bool {
		if n == 0 {
			return second < 5 || second > 8
		}
		return second < 20
	}
	require.Equal(t, []int{0, 1, 0}, cluster(vrrp.Policy{}, works, 40))
}

func TestWithPreemptTheAddressesComeBackAfterAMinute(t *testing.T) {
	works := func(n int, second float64) bool { return n != 0 || second < 5 || second > 8 }
	require.Equal(t, []int{0, 1}, cluster(vrrp.Policy{Preempt: true}, works, 60))
	require.Equal(t, []int{0, 1, 0}, cluster(vrrp.Policy{Preempt: true}, works, 75))
	require.Equal(t, []int{0, 1}, cluster(vrrp.Policy{}, works, 75))
}
