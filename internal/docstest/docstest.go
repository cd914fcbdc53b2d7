// Package docstest keeps the documentation true: parts of pages are written from what the
// charm is made of, and links, anchors and commands are checked (its own tests).
package docstest

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Root is the repository, seen from a package two directories below it.
const Root = "../.."

// Generated compares a part of a page, such as docs/reference/options.md, with what it is
// made from; UPDATE_GOLDEN=1 writes it anew. The part stands between the lines
// "<!-- generated: NAME -->" and "<!-- end -->". All parts of a page are one package's, since
// packages are tested side by side.
func Generated(t *testing.T, page, name, want string) {
	t.Helper()
	path := filepath.Join(Root, page)
	raw, err := os.ReadFile(path)
	require.NoError(t, err)
	begin := "<!-- generated: " + name + " -->\n"
	before, rest, found := strings.Cut(string(raw), begin)
	require.True(t, found, "%s has no line %s", page, begin)
	got, after, found := strings.Cut(rest, "<!-- end -->\n")
	require.True(t, found, "%s: nothing ends %s", page, name)
	want = "\n" + strings.TrimSpace(want) + "\n\n"
	if os.Getenv("UPDATE_GOLDEN") != "" {
		require.NoError(t, os.WriteFile(path, []byte(before+begin+want+"<!-- end -->\n"+after), 0o644))
		return
	}
	require.Equal(t, want, got, "%s says otherwise: make docs writes it anew", page)
}

// Paragraph is a description of config.yaml or actions.yaml in one line.
func Paragraph(text string) string { return strings.Join(strings.Fields(text), " ") }

// Sentence is the first sentence of a description.
func Sentence(text string) string {
	s, _, more := strings.Cut(Paragraph(text), ". ")
	if more {
		s += "."
	}
	return s
}
