package metrics_test

import (
	"bytes"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"keepalived-charm/internal/docstest"
	"keepalived-charm/internal/metrics"
	"keepalived-charm/internal/needs"
	"keepalived-charm/internal/vrrp"
)

// at is a moment of 2026.
var at = time.Date(2026, 11, 30, 1, 2, 3, 500e6, time.UTC)

// holder is a unit that has two virtual IPs, as it looks after a move.
func holder() metrics.Snapshot {
	s := metrics.Snapshot{
		Version: "1.2.3", Up: true, Restarts: 1,
		Check: metrics.Check{Type: "http", Verdict: "healthy", Passes: true, Passed: 41, Failed: 3},
		Instances: []metrics.Instance{{
			Name: "charm_keepalived", Link: "eth0", ID: 23, Role: metrics.Holder, HolderSeen: true,
			Adjustment: vrrp.HealthyWeight + vrrp.HolderWeight,
			Addresses:  []metrics.Address{{netip.MustParseAddr("10.10.74.250"), true}, {netip.MustParseAddr("2001:db8::250"), false}},
			Heard:      []metrics.Heard{{netip.MustParseAddr("10.10.74.12"), 190, at.Add(-time.Minute)}, {Peer: netip.MustParseAddr("10.10.74.13")}},
		}},
		Hook: &metrics.Hook{Findings: map[metrics.Finding]int{metrics.AddressTaken: 2}, Waiting: true, Keepalived: "2.2.7", VRRPVersion: 3, Mode: vrrp.Multicast,
			Bases: map[string]vrrp.Priority{"charm_keepalived": 40}, Reloads: 5, Configured: at.Add(-time.Hour)},
	}
	for _, d := range []time.Duration{400 * time.Microsecond, time.Millisecond, 30 * time.Millisecond, 2 * time.Minute} {
		s.Check.Duration.Observe(d)
	}
	m := &s.Instances[0].Moves
	m.Lose(metrics.CheckFailed, at.Add(-time.Second))
	m.Gain(metrics.Silent, at)
	m.Gain(metrics.Silent, at)
	return s
}

// standby is one that knows nothing yet, with a name that has to be escaped.
func standby() metrics.Snapshot {
	return metrics.Snapshot{Version: "a\"b\\c\nd", Check: metrics.Check{Type: "none", Verdict: "unknown"}, Paused: true, HeldBack: true,
		Instances: []metrics.Instance{{Name: "charm_keepalived", Link: "eth0", ID: 23, Role: metrics.Aside, Addresses: []metrics.Address{{Addr: netip.MustParseAddr("10.10.74.250")}}}}}
}

func text(t *testing.T, s metrics.Snapshot) string {
	t.Helper()
	var b bytes.Buffer
	require.NoError(t, metrics.Write(&b, s))
	return b.String()
}

// TestWrite compares with golden files; UPDATE_GOLDEN=1 writes them anew.
func TestWrite(t *testing.T) {
	for name, s := range map[string]metrics.Snapshot{"holder": holder(), "standby": standby()} {
		got, path := text(t, s), filepath.Join("testdata", name+".golden")
		if os.Getenv("UPDATE_GOLDEN") != "" {
			require.NoError(t, os.MkdirAll("testdata", 0o755))
			require.NoError(t, os.WriteFile(path, []byte(got), 0o644))
		}
		want, err := os.ReadFile(path)
		require.NoError(t, err)
		require.Equal(t, string(want), got, "UPDATE_GOLDEN=1 writes %s anew", path)
	}
}

// TestPrometheusReadsIt: promtool reads the text, and finds every name as it should be.
func TestPrometheusReadsIt(t *testing.T) {
	promtool := needs.Program(t, "promtool")
	for _, s := range []metrics.Snapshot{holder(), standby(), {Check: metrics.Check{Verdict: "unknown"}}} {
		cmd := exec.Command(promtool, "check", "metrics")
		cmd.Stdin = strings.NewReader(text(t, s))
		said, err := cmd.CombinedOutput()
		require.NoError(t, err, string(said))
		require.Empty(t, string(said))
	}
}

// TestZeroIsAValue: what is not so shows as 0; only what hooks know may be missing.
func TestZeroIsAValue(t *testing.T) {
	all, none := text(t, holder()), text(t, standby())
	for _, f := range metrics.Families() {
		require.Contains(t, all, "\n"+f.Name, "a unit that knows everything shows everything")
		known := strings.Contains(none, "\n"+f.Name)
		hears := strings.HasPrefix(f.Name, "keepalived_advertise")
		require.Equal(t, !f.Hook && !hears, known, "%s on a unit without a hook that has heard nobody", f.Name)
	}
	require.Contains(t, none, "\nkeepalived_up 0\n")
	require.Contains(t, none, `keepalived_become_master_total{iname="charm_keepalived",intf="eth0",vrid="23",cause="silent"} 0`)
}

func TestTheRoleAndThePriority(t *testing.T) {
	s := holder()
	for _, row := range []struct {
		role       metrics.Role
		adjustment int
		state      string
		priority   string
	}{
		{metrics.Holder, vrrp.HealthyWeight, "2", fmt.Sprint(40 + vrrp.HealthyWeight)},
		{metrics.Standby, 0, "1", "40"},
		{metrics.Standby, vrrp.StepAside, "1", "0"},
		{metrics.Aside, vrrp.StepAside, "3", "0"},
		{metrics.Fault, vrrp.HealthyWeight, "3", "0"},
	} {
		s.Instances[0].Role, s.Instances[0].Adjustment = row.role, row.adjustment
		got := text(t, s)
		for _, r := range metrics.Roles() {
			want := "0"
			if r == row.role {
				want = "1"
			}
			require.Contains(t, got, `,role="`+string(r)+`"} `+want+"\n")
		}
		require.Contains(t, got, `ip_address="10.10.74.250"} `+row.state+"\n")
		require.Contains(t, got, `keepalived_vrrp_priority{iname="charm_keepalived",intf="eth0",vrid="23"} `+row.priority+"\n")
	}
}

func TestASnapshotDoesNotChange(t *testing.T) {
	var m metrics.Moves
	m.Gain(metrics.Silent, at)
	before := m
	m.Gain(metrics.Silent, at)
	require.Equal(t, uint64(1), before.Gained[metrics.Silent])
	require.Equal(t, uint64(2), m.Gained[metrics.Silent])
}

// TestTheReferenceListsWhatThereIs: docs/reference/metrics.md has the tables of the code.
func TestTheReferenceListsWhatThereIs(t *testing.T) {
	for name, table := range map[string]string{"metrics": metrics.Table(), "labels": metrics.LabelTable(), "findings": metrics.FindingTable()} {
		docstest.Generated(t, "docs/reference/metrics.md", name, table)
	}
}

func TestHook(t *testing.T) {
	h := *holder().Hook
	line, err := h.Encode()
	require.NoError(t, err)
	h.Version = metrics.HookVersion
	for _, text := range []string{line, line + "the end of a longer line}\n"} {
		read, err := metrics.DecodeHook([]byte(text))
		require.NoError(t, err)
		require.Equal(t, h, read)
	}
	for _, text := range []string{"", "{}", `{"version":2}`, line[:len(line)/2], "[]"} {
		_, err := metrics.DecodeHook([]byte(text))
		require.Error(t, err, text)
	}
}

func FuzzDecodeHook(f *testing.F) {
	line, err := holder().Hook.Encode()
	require.NoError(f, err)
	f.Add([]byte(line))
	f.Add([]byte(`{"version":1,"bases":{"\n":7}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		h, err := metrics.DecodeHook(data)
		if err != nil {
			return
		}
		s := holder()
		s.Hook = &h
		for line := range strings.Lines(text(t, s)) {
			require.True(t, strings.HasPrefix(line, "keepalived_") || strings.HasPrefix(line, "# "), "nothing adds a line: %q", line)
		}
	})
}
