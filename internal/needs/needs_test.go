package needs_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"keepalived-charm/internal/needs"
)

// asked is a test that notes what becomes of it.
type asked struct{ skipped, failed string }

func (*asked) Helper()                  {}
func (a *asked) Skip(arguments ...any)  { a.skipped = fmt.Sprint(arguments...) }
func (a *asked) Fatal(arguments ...any) { a.failed = fmt.Sprint(arguments...); panic(a) }

func TestWhatIsMissingLeavesATestOutAndFailsCI(t *testing.T) {
	t.Setenv("CI", "")
	one := &asked{}
	needs.Program(one, "no-such-program")
	require.Equal(t, asked{skipped: "this machine has no no-such-program"}, *one)

	t.Setenv("CI", "true")
	one = &asked{}
	require.Panics(t, func() { needs.Program(one, "no-such-program") })
	require.Equal(t, asked{failed: "this machine has no no-such-program, and CI leaves no test out"}, *one)

	one = &asked{}
	require.NotEmpty(t, needs.Program(one, "true"))
	require.Equal(t, asked{}, *one)
}

func TestWhatTakesLongIsForMakeUnit(t *testing.T) {
	t.Setenv("WHOLE", "")
	t.Setenv("CI", "")
	one := &asked{}
	needs.Time(one)
	require.Equal(t, asked{skipped: "this takes long, WHOLE=1 does it"}, *one)
	require.Equal(t, 2, needs.Of(12, 2))

	t.Setenv("CI", "true")
	one = &asked{}
	require.Panics(t, func() { needs.Time(one) }, "CI runs make unit, and that sets WHOLE")

	t.Setenv("WHOLE", "1")
	one = &asked{}
	needs.Time(one)
	require.Equal(t, asked{}, *one)
	require.Equal(t, 12, needs.Of(12, 2))
}
