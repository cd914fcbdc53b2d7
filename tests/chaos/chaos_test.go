package chaos

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestEveryFaultHasANameOfItsOwnAndAnEnd(t *testing.T) {
	names := map[string]bool{}
	telling := 0
	for _, f := range Faults() {
		require.NotEmpty(t, f.Name)
		require.False(t, names[f.Name], "%s is there twice", f.Name)
		names[f.Name] = true
		require.NotNil(t, f.Inject, f.Name)
		require.Equal(t, f.Recover != nil, f.Lasts > 0, "%s ends after some time, or by itself", f.Name)
		require.Positive(t, f.Bounds.Gap, f.Name)
		if f.Telling {
			telling++
		}
	}
	require.GreaterOrEqual(t, telling, 10)
}

func TestTheTableShowsTheWorst(t *testing.T) {
	report := Report{Date: "2026-11-22", Machine: "2 CPUs", Rows: []Row{{
		Fault: Fault{Name: "cable is out"},
		Results: []Result{
			{Gap: 600 * time.Millisecond, By: []string{"peers (VRRP)"}},
			{Gap: 700 * time.Millisecond, Overlap: 12 * time.Second, After: 40 * time.Millisecond, Back: 2500 * time.Millisecond, By: []string{"peers (VRRP)", "systemd"}, Status: []string{"interface eth0 is down"}},
		}}, {Fault: Fault{Name: "never happened"}}}}
	require.Equal(t, `| fault        | gap  | two holders     | one again | statuses right | recovered by          | status shown             | runs |
| ------------ | ---- | --------------- | --------- | -------------- | --------------------- | ------------------------ | ---- |
| cable is out | 0.70 | 12 (0.04 after) | 2.5       | 0              | peers (VRRP), systemd | `+"`interface eth0 is down`"+` | 2    |
`, report.Table())
	require.Contains(t, report.Document(), report.Table())
}

func TestABoundThatIsNotMetIsNamed(t *testing.T) {
	b := bounds(1, 0.5, 2)
	require.Empty(t, b.unmet(Result{Gap: time.Second, Overlap: 500 * time.Millisecond, Back: 2 * time.Second}))
	require.Equal(t, "nobody answered for 1.1s, bound 1s", b.unmet(Result{Gap: 1100 * time.Millisecond}))
	require.Equal(t, "two holders for 1s, bound 500ms", b.unmet(Result{Overlap: time.Second}))
	require.Equal(t, "one holder again after 3s, bound 2s", b.unmet(Result{Back: 3 * time.Second}))
	require.Equal(t, "does not recover: nobody answers", b.unmet(Result{Open: "nobody answers"}))
	require.Equal(t, "a status was wrong until the next hook: keepalived/1 says VIP ready", b.unmet(Result{Late: "keepalived/1 says VIP ready"}))
}

func TestAStatusIsToldWhenItIsOther(t *testing.T) {
	require.Empty(t, telling([]string{"holds", "standby"}))
	require.Equal(t, []string{"interface is down"}, telling([]string{"holds", "interface is down", "holds", "interface is down", "standby"}))
}
