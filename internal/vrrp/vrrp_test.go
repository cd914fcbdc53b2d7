package vrrp_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"keepalived-charm/internal/vrrp"
)

func TestEveryRankHasItsOwnBase(t *testing.T) {
	seen := map[vrrp.Priority]vrrp.Rank{}
	for r := vrrp.Rank(0); r < vrrp.Ranks; r++ {
		b := vrrp.Base(r)
		require.NotContains(t, seen, b, "ranks %d and %d", r, seen[b])
		require.GreaterOrEqual(t, int(b), 1)
		require.LessOrEqual(t, int(b), vrrp.Ranks)
		seen[b] = r
	}
	for r := vrrp.Rank(0); r < 4; r++ {
		assert.Equal(t, vrrp.Priority(10), vrrp.Base(r)-vrrp.Base(r+1))
	}
	assert.Equal(t, vrrp.Base(3), vrrp.Base(3+vrrp.Ranks))
	assert.Equal(t, vrrp.Base(vrrp.Ranks-1), vrrp.Base(-1))
}

// condition is one unit's state in the property test.
type condition struct {
	rank            vrrp.Rank
	healthy, holder bool
}

func (c condition) priority(p vrrp.Policy) int {
	return int(vrrp.Base(c.rank)) + p.Adjustment(c.healthy, c.holder)
}

// TestPolicyHoldsForAllRanksAndStates walks every pair of a holder and a
// standby: all ranks, all states of health.
func TestPolicyHoldsForAllRanksAndStates(t *testing.T) {
	for _, preempt := range []bool{false, true} {
		for _, drop := range []bool{false, true} {
			p := vrrp.Policy{Preempt: preempt, DropAllUnhealthy: drop}
			t.Run(fmt.Sprintf("%+v", p), func(t *testing.T) {
				for a := vrrp.Rank(0); a < vrrp.Ranks; a++ {
					for b := vrrp.Rank(0); b < vrrp.Ranks; b++ {
						if a != b {
							checkPair(t, p, a, b)
						}
					}
				}
			})
		}
	}
}

func checkPair(t *testing.T, p vrrp.Policy, a, b vrrp.Rank) {
	t.Helper()
	holder := func(healthy bool) int { return condition{a, healthy, true}.priority(p) }
	standby := func(healthy bool) int { return condition{b, healthy, false}.priority(p) }
	for _, v := range []int{holder(true), standby(true), holder(false), standby(false)} {
		if v >= 0 {
			require.True(t, v >= 1 && v <= 254, "priority %d", v)
		}
	}
	require.Greater(t, standby(true), holder(false), "a sick holder of rank %d yields to a healthy unit of rank %d", a, b)
	heldBack := int(vrrp.Base(b)) + vrrp.HeldBackWeight
	require.Greater(t, heldBack, holder(false), "and to one that is held back")
	require.Greater(t, heldBack, int(vrrp.Base(a))+p.Adjustment(false, false), "so does a sick standby")
	require.Less(t, heldBack, int(vrrp.Base(a))+p.Adjustment(true, false), "a healthy standby comes before one that is held back")
	require.Less(t, heldBack, holder(true), "which leaves a healthy holder alone")
	switch {
	case p.Preempt:
		require.Equal(t, vrrp.Base(a) > vrrp.Base(b), holder(true) > standby(true), "the higher base holds")
	default:
		require.Greater(t, holder(true), standby(true), "a healthy holder of rank %d keeps against rank %d", a, b)
	}
	if p.DropAllUnhealthy {
		require.Equal(t, vrrp.StepAside, p.Adjustment(false, true))
		require.Equal(t, vrrp.StepAside, p.Adjustment(false, false))
	} else if !p.Preempt {
		require.Greater(t, holder(false), standby(false), "a sick holder of rank %d keeps against a sick rank %d", a, b)
	}
}

func TestAnAdvertisedPriorityTellsItsSender(t *testing.T) {
	for r := vrrp.Rank(0); r < vrrp.Ranks; r++ {
		for _, healthy := range []bool{false, true} {
			for _, holder := range []bool{false, true} {
				p := vrrp.Base(r) + vrrp.Priority(vrrp.Policy{}.Adjustment(healthy, holder))
				got, ok := vrrp.Read(p)
				require.True(t, ok)
				require.Equal(t, vrrp.Condition{Rank: r, Healthy: healthy, Holder: holder}, got)
			}
		}
		got, ok := vrrp.Read(vrrp.Base(r) + vrrp.HeldBackWeight)
		require.True(t, ok)
		require.Equal(t, vrrp.Condition{Rank: r, Healthy: true, HeldBack: true}, got)
	}
	for _, p := range []vrrp.Priority{0, -1, 51, 52, 255} {
		_, ok := vrrp.Read(p)
		assert.False(t, ok, "priority %d", p)
	}
}

func TestVirtualRouterIDIsBounded(t *testing.T) {
	for n, ok := range map[int]bool{-1: false, 0: false, 1: true, 255: true, 256: false} {
		_, err := vrrp.NewVirtualRouterID(n)
		assert.Equal(t, ok, err == nil, "%d", n)
	}
}
