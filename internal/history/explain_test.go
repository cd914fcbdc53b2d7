package history

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestAMoveIsExplainedByWhatTheCharmNotedThen(t *testing.T) {
	took := "10.10.74.12" + TookOver + "254"
	for claim, c := range map[string]struct {
		move, other Entry
		want        string
	}{
		"asked for":             {Entry{Event: BecameStandby, Cause: took}, Entry{Time: at(-1), Event: FailoverAsked, Cause: "action"}, "failover asked for: action, " + took},
		"stopped":               {Entry{Event: BecameStandby, Cause: Unknown}, Entry{Time: at(1), Event: KeepalivedEnded, Cause: "it was stopped"}, "keepalived ended: it was stopped"},
		"long ago":              {Entry{Event: BecameStandby, Cause: Unknown}, Entry{Time: at(-60), Event: KeepalivedEnded}, Unknown},
		"ended again and again": {Entry{Event: BecameStandby, Cause: Unknown}, Entry{Time: at(-60), Event: KeepalivedEnded, Cause: "killed", Again: 9, Last: at(60)}, "keepalived ended: killed"},
		"the last time":         {Entry{Event: BecameStandby, Cause: Unknown}, Entry{Time: at(-60), Event: KeepalivedEnded, Cause: "killed", Again: 1, Last: at(-1)}, "keepalived ended: killed"},
		"an end makes nobody":   {Entry{Event: BecameHolder, Cause: Unknown}, Entry{Time: at(0), Event: KeepalivedEnded}, Unknown},
		"a cause that is seen":  {Entry{Event: BecameStandby, Cause: "interface eth0 is down"}, Entry{Time: at(0), Event: Paused}, "interface eth0 is down"},
		"changed parameters":    {Entry{Event: BecameHolder, Cause: Unknown}, Entry{Time: at(-5), Event: ParametersChanged, Cause: "x"}, "parameters changed: x"},
	} {
		c.move.Time = at(0)
		entries := []Entry{c.move, c.other}
		Explain(entries)
		require.Equal(t, c.want, entries[0].Cause, claim)
	}
}
