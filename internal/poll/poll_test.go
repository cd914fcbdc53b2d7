package poll_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"keepalived-charm/internal/poll"
)

// failing is a test that may fail.
type failing struct{ failed bool }

func (*failing) Helper()               {}
func (*failing) Errorf(string, ...any) {}
func (f *failing) FailNow()            { f.failed = true }

func TestUntil(t *testing.T) {
	for name, c := range map[string]struct {
		becomes, costs time.Duration // after how long it is so, and how long asking takes
		asked          int
		fails          bool
	}{
		"at once":                          {asked: 1},
		"later":                            {becomes: 3 * time.Second, asked: 4},
		"at the last moment":               {becomes: 10 * time.Second, asked: 11},
		"too late":                         {becomes: 12 * time.Second, asked: 11, fails: true},
		"one question outlasts all":        {becomes: 15 * time.Second, costs: 20 * time.Second, asked: 1},
		"so after a question over all":     {becomes: 21 * time.Second, costs: 20 * time.Second, asked: 2},
		"not so after a question over all": {becomes: time.Hour, costs: 20 * time.Second, asked: 2, fails: true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var f failing
				begin, asked := time.Now(), 0
				poll.Until(&f, func() bool {
					asked++
					time.Sleep(c.costs)
					return time.Since(begin) >= c.becomes
				}, 10*time.Second, time.Second)
				require.Equal(t, c.asked, asked)
				require.Equal(t, c.fails, f.failed)
			})
		})
	}
}

// detached are testify's functions that run what they are given in a goroutine.
var detached = []string{"Eventually", "Eventuallyf", "EventuallyWithT", "EventuallyWithTf", "Never", "Neverf"}

// TestNothingWaitsInAnotherGoroutine finds testify's waiting functions wherever they are
// named, in every module here: called, kept in a variable, of a package or an Assertions.
func TestNothingWaitsInAnotherGoroutine(t *testing.T) {
	files := 0
	require.NoError(t, filepath.WalkDir("../..", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (d.Name() == "testdata" || d.Name() == "build" || d.Name() == ".git"):
			return filepath.SkipDir
		case d.IsDir() || !strings.HasSuffix(path, ".go"):
			return nil
		}
		files++
		for _, found := range waits(t, path, nil) {
			t.Errorf("%s runs its condition in a goroutine, where a failed require panics after the test's end: use poll.Until (internal/poll, and tests/poll in the tests' modules), same arguments", found)
		}
		return nil
	}))
	require.Greater(t, files, 200, "this finds the files")
}

func TestTheLintFindsThem(t *testing.T) {
	for source, want := range map[string]int{
		`require.Eventually(t, f, 1, 1)`:       1,
		`assert.New(t).EventuallyWithT(f)`:     1,
		`wait := require.Neverf; wait(t)`:      1,
		`Eventually(t, f, 1, 1)`:               1, // of a dot import
		`poll.Until(t, f, 1, 1) // Eventually`: 0,
		`println("Eventually")`:                0,
	} {
		require.Len(t, waits(t, "x.go", "package x\nfunc g() {\n"+source+"\n}"), want, source)
	}
}

// waits is where a file names one of detached. source is as parser.ParseFile takes it.
func waits(t *testing.T, path string, source any) (at []string) {
	t.Helper()
	set := token.NewFileSet()
	file, err := parser.ParseFile(set, path, source, 0)
	require.NoError(t, err)
	ast.Inspect(file, func(n ast.Node) bool {
		if name, ok := n.(*ast.Ident); ok && slices.Contains(detached, name.Name) {
			at = append(at, set.Position(name.Pos()).String()+": "+name.Name)
		}
		return true
	})
	return at
}
