package vrrp_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"keepalived-charm/internal/vrrp"
)

// mixedUnit is a unit of a group in which only some units were upgraded.
type mixedUnit struct {
	python, leader bool // the leader is known to the Python charm only
	healthy        bool
}

// priority is what the unit advertises as holder or standby; the Python charm
// makes no difference.
func (u mixedUnit) priority(holder bool) int {
	if !u.python {
		return int(vrrp.MixedBase) + vrrp.Policy{Mixed: true}.Adjustment(u.healthy, holder)
	}
	p := 100
	if u.leader {
		p++
	}
	if u.healthy {
		p += 2
	}
	return p
}

func (u mixedUnit) String() string {
	return fmt.Sprintf("python %v leader %v healthy %v", u.python, u.leader, u.healthy)
}

func mixedUnits() []mixedUnit {
	var all []mixedUnit
	for _, healthy := range []bool{false, true} {
		all = append(all, mixedUnit{healthy: healthy})
		for _, leader := range []bool{false, true} {
			all = append(all, mixedUnit{python: true, leader: leader, healthy: healthy})
		}
	}
	return all
}

// TestAMixedGroup walks every pair of a holder and a standby of which one at least
// was upgraded. A standby pre-empts when its priority is greater.
func TestAMixedGroup(t *testing.T) {
	for _, holder := range mixedUnits() {
		for _, standby := range mixedUnits() {
			if holder.python && standby.python {
				continue
			}
			takes := standby.priority(false) > holder.priority(true)
			require.Equal(t, standby.healthy && !holder.healthy, takes,
				"a healthy standby and nobody else takes the addresses, from a sick holder and from nobody else: %v holds, %v stands by", holder, standby)
		}
	}
}

func TestAMixedGroupKeepsToThePolicy(t *testing.T) {
	for _, holder := range []bool{false, true} {
		drop := vrrp.Policy{Mixed: true, DropAllUnhealthy: true}
		assert.Equal(t, vrrp.StepAside, drop.Adjustment(false, holder))
		for _, healthy := range []bool{false, true} {
			plain := vrrp.Policy{Mixed: true}.Adjustment(healthy, holder)
			assert.Equal(t, plain, vrrp.Policy{Mixed: true, Preempt: true}.Adjustment(healthy, holder), "pre-emption waits")
			assert.LessOrEqual(t, int(vrrp.MixedBase)+plain, 254)
		}
	}
}

// TestAnAdjustmentTellsHealthUnderEveryPolicy: a checker that starts goes by what
// the one before it wrote, maybe under another policy.
func TestAnAdjustmentTellsHealthUnderEveryPolicy(t *testing.T) {
	for n := range 8 {
		p := vrrp.Policy{Preempt: n&1 != 0, DropAllUnhealthy: n&2 != 0, Mixed: n&4 != 0}
		for _, holder := range []bool{false, true} {
			assert.True(t, vrrp.Healthy(p.Adjustment(true, holder)), "%+v", p)
			assert.False(t, vrrp.Healthy(p.Adjustment(false, holder)), "%+v", p)
		}
	}
	assert.True(t, vrrp.Healthy(vrrp.HeldBackWeight))
}
