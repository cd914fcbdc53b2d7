package docstest

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// Key is a key of a databag that the charm publishes on an endpoint, as the manual has it.
type Key struct{ Endpoint, Name string }

// Published lists the keys that the manual has: those of the peers in the table of
// docs/explanation/architecture.md, all others in docs/reference/endpoints.md. An error is that
// of a page that cannot be read, or has no such table.
func Published() ([]Key, error) {
	var keys []Key
	for _, page := range []struct{ path, head, endpoint string }{
		{"docs/reference/endpoints.md", "| endpoint | key | value |", ""},
		{"docs/explanation/architecture.md", "| key | what it is |", "cluster"},
	} {
		raw, err := os.ReadFile(filepath.Join(Root, page.path))
		if err != nil {
			return nil, fmt.Errorf("cannot list what is published: %w", err)
		}
		_, rest, found := strings.Cut(string(raw), "\n"+page.head+"\n")
		if !found {
			return nil, fmt.Errorf("cannot list what is published: %s has no table %s", page.path, page.head)
		}
		table, _, _ := strings.Cut(rest, "\n\n")
		_, rows, _ := strings.Cut(table, "\n")
		endpoint := page.endpoint
		for row := range strings.Lines(rows) {
			cells := strings.Split(row, "|")[1:]
			if page.endpoint == "" {
				if named := quoted.FindStringSubmatch(cells[0]); named != nil {
					endpoint = named[1]
				}
				cells = cells[1:]
			}
			for _, name := range quoted.FindAllStringSubmatch(cells[0], -1) {
				keys = append(keys, Key{endpoint, name[1]})
			}
		}
	}
	return keys, nil
}

var quoted = regexp.MustCompile("`([^`]+)`")

// Means tells whether a key that is published is this one: NAME stands for any name, and -N for
// the number of a virtual router, left out for the first.
func (k Key) Means(endpoint, key string) bool {
	pattern := strings.NewReplacer("-N", `(-\d+)?`, "NAME", ".+").Replace(k.Name)
	return k.Endpoint == endpoint && regexp.MustCompile("^"+pattern+"$").MatchString(key)
}
