package decide_test

import (
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"

	"keepalived-charm/internal/decidetest"
	"keepalived-charm/internal/facts"
	"keepalived-charm/internal/juju"
	"keepalived-charm/internal/keepalived"
	"keepalived-charm/internal/vrrp"
)

// TestAPriorityNamesItsUnitUnlessSomebodyElseSentIt: over IPv6 a unit sends from a link-local
// address, which it does not tell.
func TestAPriorityNamesItsUnitUnlessSomebodyElseSentIt(t *testing.T) {
	o := withPeer("true", facts.CheckResult{})
	theirs := vrrp.Base(1) + vrrp.Priority(vrrp.Policy{}.Adjustment(true, true))
	d, err := decidetest.Desire(o)
	require.NoError(t, err)
	r := d.Routers[0]
	heard := func(address string, p vrrp.Priority, foreign, speaks bool) facts.Heard {
		return facts.Heard{Instance: d.Name(r), Address: netip.MustParseAddr(address), Priority: p, Foreign: foreign, Speaks: speaks}
	}
	for claim, c := range map[string]struct {
		heard []facts.Heard
		named bool
	}{
		"nobody was heard": {nil, true},
		"a stranger with that priority, from a link-local address": {[]facts.Heard{heard("fe80::99%eth0", theirs, true, true)}, false},
		"a stranger, and a unit from a link-local address": {
			[]facts.Heard{heard("fe80::99%eth0", theirs, true, true), heard("fe80::12%eth0", theirs, false, true)}, true},
		"a stranger, and a unit of another priority from a link-local address": {
			[]facts.Heard{heard("fe80::99%eth0", theirs, true, true), heard("fe80::12%eth0", theirs-1, false, true)}, false},
		"somebody else with that priority":    {[]facts.Heard{heard("10.10.74.99", theirs, false, true)}, false},
		"somebody else with another priority": {[]facts.Heard{heard("10.10.74.99", theirs-1, false, true)}, true},
		"somebody else, who speaks no more":   {[]facts.Heard{heard("10.10.74.99", theirs, false, false)}, true},
	} {
		t.Run(claim, func(t *testing.T) {
			m := o.Machine
			m.Check.Heard = c.heard
			unit, named := r.Holder(m, keepalived.InstanceState{Name: d.Name(r), State: keepalived.Backup, MasterPriority: theirs})
			require.Equal(t, c.named, named)
			if named {
				require.Equal(t, juju.Unit{Application: "keepalived", Number: 1}, unit)
			}
		})
	}
}
