package archive_test

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/juju/charm/v12"
	"github.com/stretchr/testify/require"
	"gopkg.in/yaml.v3"

	"keepalived-charm/internal/docstest"
)

// names are the keys of a mapping in a YAML file, in the order in which they stand there.
func names(t *testing.T, file string, under ...string) []string {
	t.Helper()
	raw, err := os.ReadFile(root + "/" + file)
	require.NoError(t, err)
	var document yaml.Node
	require.NoError(t, yaml.Unmarshal(raw, &document))
	at := document.Content[0]
	for _, key := range under {
		n := slices.IndexFunc(at.Content, func(n *yaml.Node) bool { return n.Value == key })
		require.GreaterOrEqual(t, n, 0, key)
		at = at.Content[n+1]
	}
	var all []string
	for n := 0; n < len(at.Content); n += 2 {
		all = append(all, at.Content[n].Value)
	}
	return all
}

// standard is an option's default as an operator reads it.
func standard(o charm.Option) string {
	s := fmt.Sprint(o.Default)
	switch {
	case s == "":
		return "empty"
	case o.Type == "float" && !strings.Contains(s, "."):
		s += ".0"
	}
	return "`" + s + "`"
}

func TestTheManualSaysOfEachOptionWhatConfigYAMLSays(t *testing.T) {
	dir, err := charm.ReadCharmDir(root)
	require.NoError(t, err)
	table := "| option | default | in short |\n| --- | --- | --- |\n"
	var text string
	for _, name := range names(t, "config.yaml", "options") {
		o := dir.Config().Options[name]
		require.NotEmpty(t, o.Description, name)
		require.NotContains(t, o.Description, "|", "its first sentence is a cell of a table")
		table += fmt.Sprintf("| [`%s`](#%s) | %s | %s |\n", name, name, standard(o), docstest.Sentence(o.Description))
		text += fmt.Sprintf("\n### %s\n\nType %s, default %s. %s\n", name, o.Type, standard(o), docstest.Paragraph(o.Description))
	}
	docstest.Generated(t, "docs/reference/options.md", "options", table+text)
}

func TestTheManualHasEveryEndpoint(t *testing.T) {
	dir, err := charm.ReadCharmDir(root)
	require.NoError(t, err)
	text, err := os.ReadFile(root + "/docs/reference/endpoints.md")
	require.NoError(t, err)
	var rows []string
	for _, m := range regexp.MustCompile("(?m)^\\| (`[a-z-]+` \\([a-z0-9, ]+\\)) \\| ([a-z_-]+) \\|").FindAllStringSubmatch(string(text), -1) {
		rows = append(rows, m[1]+" "+m[2])
	}
	var want []string
	for _, side := range []map[string]charm.Relation{dir.Meta().Requires, dir.Meta().Provides, dir.Meta().Peers} {
		for name, r := range side {
			role := map[charm.RelationRole]string{charm.RoleRequirer: "requires", charm.RoleProvider: "provides", charm.RolePeer: "peers"}[r.Role]
			if r.Scope == charm.ScopeContainer {
				role += ", container"
			}
			if r.Limit > 0 {
				role += fmt.Sprint(", limit ", r.Limit)
			}
			want = append(want, fmt.Sprintf("`%s` (%s) %s", name, role, r.Interface))
		}
	}
	require.ElementsMatch(t, want, rows)
}
