package render

import (
	"crypto/sha256"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"keepalived-charm/internal/keepalived"
	"keepalived-charm/internal/layout"
	"keepalived-charm/templates"
)

// TestAFileOfAllApplicationsHasANumberForEachText: of two revisions that write another text
// the later one has to have the higher number, or they would undo each other's work.
func TestAFileOfAllApplicationsHasANumberForEachText(t *testing.T) {
	main, err := keepalived.Main{Fragments: layout.FragmentDir, Foreign: layout.ForeignFile}.Render()
	require.NoError(t, err)
	settings, err := templates.Render("sysctl.conf", "")
	require.NoError(t, err)
	for name, c := range map[string]struct {
		text    string
		formats []string // a beginning of the checksum, by number
	}{
		"keepalived.conf": {main, []string{"", "83cb9780e0f1", "acca0bc597dd"}},
		"sysctl.conf":     {settings, []string{"", "488e331b4e7b", "18a65d202869"}},
	} {
		sum := fmt.Sprintf("%x", sha256.Sum256([]byte(c.text)))[:12]
		n := templates.Format(name)
		require.Equal(t, len(c.formats)-1, n, "%s: the number of its format is the last one here", name)
		require.Contains(t, c.text, fmt.Sprintf("\n# Format %d\n", n), name)
		require.Equal(t, c.formats[n], sum, "%s is another text now: give it the next number, and add %q here", name, sum)
	}
}
