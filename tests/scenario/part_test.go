package scenario_test

import (
	"math/rand/v2"
	"os"
	"slices"
	"testing"
	"time"
)

// some returns n of what takes long, other ones each day, where LAB_PART is set, as make test
// does; otherwise all.
func some[T any](t *testing.T, n int, all ...T) []T {
	t.Helper()
	if os.Getenv("LAB_PART") == "" {
		return all
	}
	seed := daily(t)
	t.Logf("%d of %d, as LAB_SEED=%d says; without LAB_PART all", n, len(all), seed)
	part := slices.Clone(all)
	rand.New(rand.NewPCG(seed, 0)).Shuffle(len(part), func(a, b int) { part[a], part[b] = part[b], part[a] })
	return part[:min(n, len(part))]
}

// daily is LAB_SEED, or else the number of the day: who repeats a run repeats what it took.
func daily(t *testing.T) uint64 {
	t.Helper()
	return uint64(number(t, "LAB_SEED", time.Now().Unix()/int64(24*time.Hour/time.Second)))
}
