package archive_test

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/juju/charm/v12"
	"github.com/stretchr/testify/require"
)

// TestTheManualListsWhatTheCharmHas compares the README's tables with what Juju
// reads.
func TestTheManualListsWhatTheCharmHas(t *testing.T) {
	readme, err := os.ReadFile("../../README.md")
	require.NoError(t, err)
	dir, err := charm.ReadCharmDir("../..")
	require.NoError(t, err)

	var options, endpoints, actions []string
	for name, o := range dir.Config().Options {
		value := fmt.Sprint(o.Default)
		switch {
		case value == "":
			value = "empty"
		case o.Type == "float" && !strings.Contains(value, "."):
			value += ".0"
		}
		options = append(options, "`"+name+"` | "+value)
	}
	for _, side := range []map[string]charm.Relation{dir.Meta().Requires, dir.Meta().Provides, dir.Meta().Peers} {
		for name, r := range side {
			endpoints = append(endpoints, "`"+name+"` ("+map[charm.RelationRole]string{
				charm.RoleRequirer: "requires", charm.RoleProvider: "provides", charm.RolePeer: "peers"}[r.Role])
		}
	}
	for name := range dir.Actions().ActionSpecs {
		actions = append(actions, "`"+name+"`")
	}
	require.ElementsMatch(t, options, column(readme, "Options", `^\| (\S+ \| \S+) \|`))
	require.ElementsMatch(t, endpoints, column(readme, "Endpoints", "^\\| (`[a-z-]+` \\([a-z]+)"))
	require.ElementsMatch(t, actions, column(readme, "Actions", "^\\| (`[a-z-]+`)"))
}

// column returns what a pattern finds in the table rows of a section.
func column(readme []byte, section, pattern string) []string {
	_, text, _ := strings.Cut(string(readme), "\n## "+section+"\n")
	text, _, _ = strings.Cut(text, "\n## ")
	row := regexp.MustCompile(pattern)
	var found []string
	for line := range strings.Lines(text) {
		if m := row.FindStringSubmatch(line); m != nil && strings.HasPrefix(m[1], "`") {
			found = append(found, m[1])
		}
	}
	return found
}
