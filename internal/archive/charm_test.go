package archive_test

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/juju/charm/v12"
	"github.com/juju/charm/v12/hooks"
	"github.com/stretchr/testify/require"
	"gopkg.in/yaml.v3"

	"keepalived-charm/internal/archive"
	charmactions "keepalived-charm/internal/charm"
	"keepalived-charm/internal/juju"
)

// theCharm is the charm as Juju reads it from the repository.
func theCharm(t *testing.T) *charm.CharmDir {
	t.Helper()
	ch, err := charm.ReadCharmDir(root)
	require.NoError(t, err)
	require.NoError(t, charm.CheckMeta(ch))
	return ch
}

func TestTheEndpointsAreThoseOfThePythonCharmAndThePeers(t *testing.T) {
	meta := theCharm(t).Meta()
	require.Equal(t, "keepalived", meta.Name)
	require.True(t, meta.Subordinate)
	require.Empty(t, meta.Series, "a series would make the charm format 1")
	require.Empty(t, meta.Resources, "juju refresh --path from a charm without one is refused")
	got := map[string]string{}
	for name, r := range meta.CombinedRelations() {
		if name != "cos-agent" { // which no revision had without it
			require.Zero(t, r.Limit, "a limit could refuse a refresh")
		}
		got[name] = string(r.Role) + " " + r.Interface + " " + string(r.Scope)
	}
	require.Equal(t, map[string]string{
		"juju-info":    "requirer juju-info container",
		"ha":           "provider hacluster container",
		"lb-sink":      "requirer http global",
		"lb-consumers": "provider loadbalancer global",
		"loadbalancer": "provider public-address global",
		"website":      "provider http global",
		"cos-agent":    "provider cos_agent global",
		"cluster":      "peer keepalived-cluster global",
	}, got)
}

func TestThePythonCharmsOptionsKeepTheirTypes(t *testing.T) {
	options := theCharm(t).Config().Options
	for name, typ := range map[string]string{
		"virtual_ip": "string", "vip_hostname": "string", "network_interface": "string",
		"port": "int", "router_id": "int", "healthcheck_interval": "int",
	} {
		require.Equal(t, typ, options[name].Type, "juju refresh drops the value of %s when its type changes", name)
	}
	for name, want := range map[string]any{
		"virtual_ip": "", "vip_hostname": "", "network_interface": "", "port": int64(443), "router_id": int64(23),
	} {
		require.Equal(t, want, options[name].Default, name)
	}
}

func TestEveryOptionIsDescribed(t *testing.T) {
	for name, o := range theCharm(t).Config().Options {
		lines := strings.Split(strings.TrimSpace(o.Description), "\n")
		require.True(t, len(lines) >= 2 && len(lines) <= 5, "%s: two to five lines, not %d", name, len(lines))
		for _, l := range lines {
			require.LessOrEqual(t, len(l), 76, "%s: %q", name, l)
		}
		require.NotNil(t, o.Default, "%s: unset and default must not differ", name)
	}
}

func TestActionsAreDescribedAndTakeNoUnknownParameters(t *testing.T) {
	known := charmactions.Actions()
	for name, spec := range theCharm(t).Actions().ActionSpecs {
		require.Contains(t, known, name)
		properties, _ := spec.Params["properties"].(map[string]any)
		require.ElementsMatch(t, known[name], slices.Collect(maps.Keys(properties)), "parameters of %s", name)
		delete(known, name)
	}
	require.Empty(t, known, "actions.yaml and the code know the same actions")

	data, err := os.ReadFile(filepath.Join(root, "actions.yaml"))
	require.NoError(t, err)
	var raw map[string]map[string]any
	require.NoError(t, yaml.Unmarshal(data, &raw))
	for name, spec := range raw {
		require.Equal(t, false, spec["additionalProperties"], "%s: Juju 3 and 4 differ when it is unset", name)
		require.NotEmpty(t, spec["description"], name)
	}
}

func TestHooksHoldsALinkForEveryHookAndNoOther(t *testing.T) {
	meta := theCharm(t).Meta()
	found, err := os.ReadDir(filepath.Join(root, "hooks"))
	require.NoError(t, err)
	var got []string
	for _, f := range found {
		target, err := os.Readlink(filepath.Join(root, "hooks", f.Name()))
		require.NoError(t, err)
		require.Equal(t, "../dispatch", target, f.Name())
		got = append(got, f.Name())
	}
	require.Equal(t, archive.Hooks(meta), got)
	for _, hook := range []hooks.Kind{
		hooks.Install, hooks.Start, hooks.ConfigChanged, hooks.UpgradeCharm, hooks.LeaderElected,
		hooks.LeaderSettingsChanged, hooks.UpdateStatus, hooks.Stop, hooks.Remove, hooks.PreSeriesUpgrade,
		hooks.PostSeriesUpgrade, hooks.SecretChanged, hooks.SecretRemove, hooks.SecretRotate, hooks.SecretExpired,
		"juju-info-relation-created", "cluster-relation-departed", "website-relation-broken",
	} {
		require.Contains(t, got, string(hook))
	}
}

func TestTheBinaryKnowsEveryHookOfTheArchive(t *testing.T) {
	meta := theCharm(t).Meta()
	var endpoints []string
	for name := range meta.CombinedRelations() {
		endpoints = append(endpoints, name)
	}
	for _, hook := range archive.Hooks(meta) {
		env := map[string]string{"JUJU_DISPATCH_PATH": "hooks/" + hook, "JUJU_UNIT_NAME": "keepalived/0"}
		ev, err := juju.ParseEvent("dispatch", func(k string) string { return env[k] }, endpoints)
		require.NoError(t, err)
		require.NotEmpty(t, ev.Hook, hook)
	}
}
