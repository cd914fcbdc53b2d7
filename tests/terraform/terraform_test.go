// Package terraform_test reads the Terraform module with Terraform's own parser and compares it
// with the charm. Neither Terraform nor the Juju provider is to be had here: what the provider
// takes is written down as of terraform-provider-juju v2.2.1.
package terraform_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclparse"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/juju/charm/v12"
	"github.com/stretchr/testify/require"
	"github.com/zclconf/go-cty/cty"
)

const (
	root   = "../.."
	module = root + "/terraform"
)

// read returns the blocks of all files of a directory.
func read(t *testing.T, dir string) []*hclsyntax.Block {
	t.Helper()
	files, err := filepath.Glob(dir + "/*.tf")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	var all []*hclsyntax.Block
	for _, file := range files {
		f, problems := hclparse.NewParser().ParseHCLFile(file)
		require.False(t, problems.HasErrors(), "%v", problems)
		all = append(all, f.Body.(*hclsyntax.Body).Blocks...)
	}
	return all
}

// named are the blocks of a type, by their last label.
func named(blocks []*hclsyntax.Block, kind string) map[string]*hclsyntax.Block {
	all := map[string]*hclsyntax.Block{}
	for _, b := range blocks {
		if b.Type == kind {
			all[strings.Join(b.Labels[max(0, len(b.Labels)-1):], "")] = b
		}
	}
	return all
}

func keys[V any](m map[string]V) []string {
	var all []string
	for k := range m {
		all = append(all, k)
	}
	slices.Sort(all)
	return all
}

// value evaluates an attribute with an application that is named as its label.
func value(t *testing.T, b *hclsyntax.Block, attribute string) cty.Value {
	t.Helper()
	a := b.Body.Attributes[attribute]
	require.NotNil(t, a, "%v has no %s", b.Labels, attribute)
	v, problems := a.Expr.Value(&hcl.EvalContext{Variables: map[string]cty.Value{
		"juju_application": cty.ObjectVal(map[string]cty.Value{"keepalived": cty.ObjectVal(map[string]cty.Value{"name": cty.StringVal("kc")})}),
	}})
	require.False(t, problems.HasErrors(), "%v", problems)
	return v
}

func TestTheModuleHasTheVariablesOfCanonicalsModules(t *testing.T) {
	variables := named(read(t, module), "variable")
	require.Equal(t, []string{"app_name", "base", "channel", "config", "constraints", "model_uuid", "revision"}, keys(variables))
	dir, err := charm.ReadCharmDir(root)
	require.NoError(t, err)
	require.Equal(t, dir.Meta().Name, value(t, variables["app_name"], "default").AsString())
	name, channel, _ := strings.Cut(value(t, variables["base"], "default").AsString(), "@")
	require.True(t, slices.ContainsFunc(dir.Manifest().Bases, func(b charm.Base) bool {
		return b.Name == name && b.Channel.Track == channel
	}), "manifest.yaml has the base")
	require.NotContains(t, variables["model_uuid"].Body.Attributes, "default")
	text, err := os.ReadFile(module + "/README.md")
	require.NoError(t, err)
	for name, v := range variables {
		require.Contains(t, string(text), "| `"+name+"` |")
		require.NotEmpty(t, value(t, v, "description").AsString())
	}
}

func TestTheModulesOutputsAreTheEndpointsOfTheCharm(t *testing.T) {
	outputs := named(read(t, module), "output")
	require.Equal(t, []string{"app_name", "application", "provides", "requires"}, keys(outputs))
	dir, err := charm.ReadCharmDir(root)
	require.NoError(t, err)
	for side, relations := range map[string]map[string]charm.Relation{"provides": dir.Meta().Provides, "requires": dir.Meta().Requires} {
		want := map[string]cty.Value{}
		for endpoint := range relations {
			want[strings.ReplaceAll(endpoint, "-", "_")] = cty.ObjectVal(map[string]cty.Value{
				"kind": cty.StringVal("endpoint"), "name": cty.StringVal("kc"), "endpoint": cty.StringVal(endpoint), "controller": cty.NullVal(cty.DynamicPseudoType),
			})
		}
		got := value(t, outputs[side], "value")
		require.True(t, got.RawEquals(cty.ObjectVal(want)), "%s: %#v", side, got)
	}
}

// attributes and parts are what resources of the provider take, as far as they are used here
// (terraform-provider-juju 0c40cee, v2.2.1).
var (
	attributes = map[string][]string{
		"juju_application": {"name", "model_uuid", "units", "config", "constraints"},
		"juju_integration": {"model_uuid"},
		"charm":            {"name", "channel", "revision", "base"},
		"local_charm":      {"name", "path", "base"},
		"application":      {"name", "endpoint"},
	}
	parts = map[string][]string{"juju_application": {"charm", "local_charm"}, "juju_integration": {"application"}}
)

func TestTheResourcesAreThoseOfTheProvider(t *testing.T) {
	dir, err := charm.ReadCharmDir(root)
	require.NoError(t, err)
	for _, d := range []string{module, module + "/examples/haproxy", module + "/examples/local"} {
		blocks := read(t, d)
		ours := 0
		for _, b := range blocks {
			if b.Type == "resource" {
				require.Contains(t, attributes, b.Labels[0], d)
				require.Subset(t, attributes[b.Labels[0]], keys(b.Body.Attributes), d)
				for _, part := range b.Body.Blocks {
					require.Contains(t, parts[b.Labels[0]], part.Type, d)
					require.Subset(t, attributes[part.Type], keys(part.Body.Attributes), d)
				}
			}
			if b.Type == "module" {
				require.Subset(t, keys(named(read(t, module), "variable")), remove(keys(b.Body.Attributes), "source"), d)
				require.Equal(t, "../..", value(t, b, "source").AsString())
			}
			if b.Labels == nil || b.Labels[len(b.Labels)-1] != "keepalived" || b.Type == "resource" && b.Labels[0] != "juju_application" {
				continue
			}
			ours++
			if config, is := b.Body.Attributes["config"].Expr.(*hclsyntax.ObjectConsExpr); is {
				for _, item := range config.Items {
					key := hcl.ExprAsKeyword(item.KeyExpr)
					require.Contains(t, dir.Config().Options, key, d)
				}
			}
			if b.Type == "resource" {
				units, _ := value(t, b, "units").AsBigFloat().Int64()
				require.Zero(t, units, "a subordinate has no units of its own")
			}
		}
		require.Equal(t, 1, ours, "%s deploys it once", d)
	}
}

func remove(from []string, what string) []string {
	return slices.DeleteFunc(from, func(s string) bool { return s == what })
}
