package plan_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"keepalived-charm/internal/facts"
	"keepalived-charm/internal/juju"
	"keepalived-charm/internal/layout"
	"keepalived-charm/internal/plan"
	"keepalived-charm/internal/step"
)

// TestAUnitThatDecidesNothingNewLeavesAMaskedServiceAlone: a start would fail, and reads
// everything once it is allowed.
func TestAUnitThatDecidesNothingNewLeavesAMaskedServiceAlone(t *testing.T) {
	l := layout.Layout{Application: "keepalived"}
	o := facts.Observed{Event: juju.Event{Unit: juju.Unit{Application: "keepalived"}}, Machine: facts.Machine{
		Version: "2.2.7", CheckerActive: true, Files: map[string]string{}, Owed: []step.FollowUp{step.Reload, step.Unpin}}}
	for _, file := range l.Files() {
		o.Machine.Files[file] = "x"
	}
	delete(o.Machine.Files, l.Upgrading())
	steps := func(active, masked bool) []string {
		o.Machine.Active, o.Machine.Masked = active, masked
		var said []string
		for _, s := range plan.Settle(o, errors.New("a stranger")) {
			said = append(said, s.String())
		}
		return said
	}
	require.Equal(t, []string{"do reload", "do unpin"}, steps(false, false))
	require.Equal(t, []string{"do reload", "do unpin"}, steps(true, true), "one that runs reads what changed")
	require.Equal(t, []string{"do unpin", "forget reload"}, steps(false, true))
}

// TestWhatEndsAPinComesBeforeWhatNoClientNeeds: the rest may fail.
func TestWhatEndsAPinComesBeforeWhatNoClientNeeds(t *testing.T) {
	order := step.FollowUps()
	require.Less(t, slices.Index(order, step.Unpin), slices.Index(order, step.StartNotifier))
}
