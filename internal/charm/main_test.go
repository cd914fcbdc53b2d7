package charm_test

import (
	"os"
	"runtime/debug"
	"testing"
)

// TestMain lets garbage grow: what hooks in memory leave behind is small.
func TestMain(m *testing.M) {
	debug.SetGCPercent(800)
	os.Exit(m.Run())
}
