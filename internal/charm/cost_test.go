package charm_test

import (
	"fmt"
	"path"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"

	"keepalived-charm/internal/charmtest"
)

// many is a unit that serves as many virtual IPs, with a virtual router each if spread.
func many(t testing.TB, count int, spread bool) charmtest.State {
	t.Helper()
	list := ""
	for n := range count {
		list += fmt.Sprintf("10.10.%d.%d ", 80+n/200, 20+n%200)
	}
	s := charmtest.NewState(0)
	s.Host.Holds = true
	s.Juju.Options["virtual_ip"], s.Juju.Options["spread"], s.Juju.Options["router_id"] = list, spread, 1
	for _, hook := range []string{"install", "config-changed", "start", "update-status"} {
		s = charmtest.Run(t, hook, s).State
	}
	require.Empty(t, charmtest.Run(t, "update-status", s).Steps)
	return s
}

// TestAHookGrowsWithTheVirtualIPsAndNotWithTheirSquare counts what is allocated: of each
// doubling that of something linear doubles, that of something quadratic is fourfold.
func TestAHookGrowsWithTheVirtualIPsAndNotWithTheirSquare(t *testing.T) {
	for _, c := range []struct {
		hook   string
		spread bool
		counts [3]int
	}{
		{"update-status", false, [3]int{125, 250, 500}},
		{"update-status", true, [3]int{50, 100, 200}},
		{"actions/status", true, [3]int{50, 100, 200}},
	} {
		var objects, bytes [3]float64
		for n, count := range c.counts {
			s := many(t, count, c.spread)
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			charmtest.Run(t, c.hook, s)
			runtime.ReadMemStats(&after)
			objects[n], bytes[n] = float64(after.Mallocs-before.Mallocs), float64(after.TotalAlloc-before.TotalAlloc)
		}
		for what, of := range map[string][3]float64{"objects": objects, "bytes": bytes} {
			growth := (of[2] - of[1]) / (of[1] - of[0])
			t.Logf("%s with %v virtual IPs, spread %v: %s %.0f, the second doubling adds %.2f times the first", c.hook, c.counts, c.spread, what, of, growth)
			require.Less(t, growth, 2.8, "%s, spread %v: %s %.0f", c.hook, c.spread, what, of)
		}
	}
}

// BenchmarkGrowth is what virtual IPs add to a hook that changes nothing, without the cost
// of processes.
func BenchmarkGrowth(b *testing.B) {
	for _, c := range []struct {
		hook   string
		count  int
		spread bool
	}{{"update-status", 1, false}, {"update-status", 64, false}, {"update-status", 500, false}, {"update-status", 64, true}, {"update-status", 200, true},
		{"actions/status", 1, true}, {"actions/status", 64, true}} {
		b.Run(fmt.Sprintf("%s,%d,spread=%v", path.Base(c.hook), c.count, c.spread), func(b *testing.B) {
			s := many(b, c.count, c.spread)
			for b.Loop() {
				charmtest.Run(b, c.hook, s)
			}
		})
	}
}
