package archive_test

import (
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"gopkg.in/yaml.v3"
)

// preface is what stands before what charmcraft.yaml has of metadata.yaml.
const preface = `# For the store's listing, which is made from this file. Written from metadata.yaml and
# manifest.yaml by make docs; config.yaml and actions.yaml are read where they are.
#
# make charms packs, without charmcraft, what charmcraft upload takes: keepalived_ARCH.charm.
# charmcraft pack unpacks those for its own archive; the binary is none that it could build.
# (Charmcraft was not to be had where this was written, and never run on it.)
type: charm
parts:
  charm:
    plugin: nil
    build-packages: [unzip]
    override-build: |
      unzip -q "$CRAFT_PROJECT_DIR/keepalived_$CRAFT_ARCH_BUILD_FOR.charm" \
        -x metadata.yaml manifest.yaml -d "$CRAFT_PART_INSTALL"
`

// TestTheManualOfTheStore: charmcraft.yaml says what metadata.yaml says, in its own words.
func TestTheManualOfTheStore(t *testing.T) {
	var platforms struct {
		Bases []struct {
			Name, Channel string
			Architectures []string
		}
	}
	raw, err := os.ReadFile(root + "/manifest.yaml")
	require.NoError(t, err)
	require.NoError(t, yaml.Unmarshal(raw, &platforms))
	var text strings.Builder
	text.WriteString(preface + "platforms:\n")
	for _, b := range platforms.Bases {
		for _, arch := range b.Architectures {
			text.WriteString("  " + b.Name + "@" + b.Channel + ":" + arch + ":\n")
		}
	}

	raw, err = os.ReadFile(root + "/metadata.yaml")
	require.NoError(t, err)
	var metadata map[string]yaml.Node
	require.NoError(t, yaml.Unmarshal(raw, &metadata))
	links := map[string]string{}
	for theirs, ours := range map[string]string{"documentation": "docs", "issues": "issues", "source": "source", "website": "website"} {
		n := metadata[ours]
		require.True(t, strings.HasPrefix(n.Value, "https://"), ours)
		links[theirs] = n.Value
	}
	write := func(key string, value any) {
		var part strings.Builder
		e := yaml.NewEncoder(&part)
		e.SetIndent(2)
		require.NoError(t, e.Encode(map[string]any{key: value}))
		text.WriteString(part.String())
	}
	other := map[string]string{"display-name": "title"}
	in := map[string]bool{"docs": true, "issues": true, "source": true, "website": true, "maintainers": true, "tags": true}
	for _, key := range names(t, "metadata.yaml") {
		if in[key] {
			continue
		}
		n := metadata[key]
		n.HeadComment, n.FootComment = "", ""
		if title, is := other[key]; is {
			write(title, &n)
			continue
		}
		write(key, &n)
	}
	write("links", links)
	path := root + "/charmcraft.yaml"
	if os.Getenv("UPDATE_GOLDEN") != "" {
		require.NoError(t, os.WriteFile(path, []byte(text.String()), 0o644))
	}
	got, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, text.String(), string(got), "make docs writes charmcraft.yaml anew")
	for _, endpoints := range []string{"requires", "provides"} {
		for _, endpoint := range names(t, "metadata.yaml", endpoints) {
			require.Contains(t, names(t, "metadata.yaml", endpoints, endpoint), "optional", endpoint)
		}
	}
}
