package docstest_test

import (
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode"

	"github.com/stretchr/testify/require"

	"keepalived-charm/internal/docstest"
)

// page is a page of the documentation.
type page struct {
	// text is what it says outside fenced blocks, fenced what stands in them.
	text, fenced string
	anchors      map[string]bool
}

var heading = regexp.MustCompile(`^#{1,6} (.+)$`)

// pages are all pages, by their path from the root.
func pages(t *testing.T) map[string]page {
	t.Helper()
	all := map[string]page{}
	err := filepath.WalkDir(docstest.Root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (d.Name() == "build" || d.Name() == "testdata" || strings.HasPrefix(d.Name(), ".") && d.Name() != "..") {
			return filepath.SkipDir
		}
		if filepath.Ext(path) != ".md" {
			return nil
		}
		raw, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		name, err := filepath.Rel(docstest.Root, path)
		all[name] = read(string(raw))
		return err
	})
	require.NoError(t, err)
	require.Contains(t, all, "README.md")
	return all
}

func read(raw string) page {
	p := page{anchors: map[string]bool{}}
	inside := false
	for line := range strings.Lines(raw) {
		switch {
		case strings.HasPrefix(strings.TrimSpace(line), "```"):
			inside = !inside
		case inside:
			p.fenced += line
		default:
			p.text += line
			if m := heading.FindStringSubmatch(strings.TrimSpace(line)); m != nil {
				p.anchors[anchor(m[1])] = true
			}
		}
	}
	return p
}

// anchor is what a forge makes of a heading: letters, digits, hyphens and underscores in lower
// case, with a hyphen for each space.
func anchor(title string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == ' ':
			return '-'
		case unicode.IsLetter(r), unicode.IsDigit(r), r == '-', r == '_':
			return unicode.ToLower(r)
		}
		return -1
	}, title)
}

var link = regexp.MustCompile(`\]\(([^)\s]+)\)`)

func TestEveryLinkLeadsSomewhere(t *testing.T) {
	all := pages(t)
	for name, p := range all {
		for _, m := range link.FindAllStringSubmatch(p.text, -1) {
			to, err := url.Parse(m[1])
			require.NoError(t, err, name)
			if to.IsAbs() {
				require.Equal(t, "https", to.Scheme, "%s: %s", name, m[1])
				continue
			}
			target := name
			if to.Path != "" {
				target = filepath.Join(filepath.Dir(name), to.Path)
				_, err := os.Stat(filepath.Join(docstest.Root, target))
				require.NoError(t, err, "%s: %s", name, m[1])
			}
			if to.Fragment != "" {
				require.True(t, all[target].anchors[to.Fragment], "%s: no heading has that name: %s", name, m[1])
			}
		}
	}
}

// TestEveryPageIsFound: from the README, over however many links.
func TestEveryPageIsFound(t *testing.T) {
	all := pages(t)
	found := map[string]bool{}
	var follow func(name string)
	follow = func(name string) {
		p, is := all[name]
		if found[name] || !is {
			return
		}
		found[name] = true
		for _, m := range link.FindAllStringSubmatch(p.text, -1) {
			target, _, _ := strings.Cut(m[1], "#")
			follow(filepath.Join(filepath.Dir(name), target))
		}
	}
	follow("README.md")
	for name := range all {
		require.True(t, found[name], "no page links %s: docs/README.md lists all", name)
	}
}

func TestTheREADMEIsShort(t *testing.T) {
	raw, err := os.ReadFile(filepath.Join(docstest.Root, "README.md"))
	require.NoError(t, err)
	require.LessOrEqual(t, strings.Count(string(raw), "\n"), 120, "the rest has pages of its own")
	ci, err := os.ReadFile(filepath.Join(docstest.Root, ".ci/run"))
	require.NoError(t, err)
	command := regexp.MustCompile(`(?m)^exec (make \S+)`).FindStringSubmatch(string(ci))
	require.NotNil(t, command)
	require.Contains(t, read(string(raw)).fenced, "\n"+command[1]+" ", "CI runs what the README says")
}
