package charm_test

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	jujucharm "github.com/juju/charm/v12"
	"github.com/stretchr/testify/require"
	"gopkg.in/yaml.v3"

	"keepalived-charm/internal/charmtest"
	"keepalived-charm/internal/docstest"
)

// times are what differs from run to run.
var times = regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ`)

// ages are times seen from when the action runs.
var ages = regexp.MustCompile(`\d+\.\d s ago`)

// sample is a call of an action and what juju run shows of its results.
func sample(t *testing.T, unit, action string, s charmtest.State) string {
	t.Helper()
	out := act(t, action, s)
	require.Empty(t, out.Juju.Failure, action)
	results := maps.Clone(out.Juju.Results)
	for _, key := range []string{"json", "checker"} {
		if results[key] != "" {
			results[key] = "{...}"
		}
	}
	var text strings.Builder
	e := yaml.NewEncoder(&text)
	e.SetIndent(2)
	require.NoError(t, e.Encode(results))
	said := ages.ReplaceAllString(times.ReplaceAllString(text.String(), "2026-11-29T15:26:57Z"), "0.1 s ago")
	return fmt.Sprintf("```\n$ juju run %s %s\n%s```\n", unit, action, said)
}

// TestTheManualShowsEachAction: what actions.yaml says of it, and what a unit answered.
func TestTheManualShowsEachAction(t *testing.T) {
	dir, err := jujucharm.ReadCharmDir("../..")
	require.NoError(t, err)
	states := circumstances(t)
	for name, spec := range dir.Actions().ActionSpecs {
		text := docstest.Paragraph(spec.Description) + "\n"
		properties, _ := spec.Params["properties"].(map[string]any)
		for _, parameter := range slices.Sorted(maps.Keys(properties)) {
			p := properties[parameter].(map[string]any)
			text += fmt.Sprintf("\n* `%s=%v` (the default): %v\n", parameter, p["default"], p["description"])
		}
		state := map[string]string{"resume": "paused", "restart": "standby"}[name]
		if state == "" {
			state = "holder"
		}
		text += "\n" + sample(t, "keepalived/0", name, states[state])
		docstest.Generated(t, "docs/reference/actions.md", name, text)
	}
}
