// Package poll waits in tests for what another process or goroutine does: a copy of the
// charm's own package, for nothing of the charm is imported here.
package poll

import (
	"time"

	"github.com/stretchr/testify/require"

	"keepalived-charm/tests/patience"
)

// T is what Until needs of a test.
type T interface {
	require.TestingT
	Helper()
}

// Until requires that done becomes true within limit, and asks at once, then every
// pace, and once more when limit has passed. The limit only guards against hanging:
// make it generous; a slow machine is given more. testify's Eventually runs its condition in a goroutine, where a
// failed require ends the goroutine alone, and the condition may outlive its test;
// here all happens in the test's own.
func Until(t T, done func() bool, limit, pace time.Duration, message ...any) {
	t.Helper()
	for begin := time.Now(); ; time.Sleep(pace) {
		last := time.Since(begin) >= patience.With(limit)
		if done() {
			return
		}
		if last {
			require.Fail(t, "not so within "+patience.With(limit).String(), message...)
			return // a T whose FailNow returns
		}
	}
}
