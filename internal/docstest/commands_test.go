package docstest_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/juju/charm/v12"
	"github.com/stretchr/testify/require"

	"keepalived-charm/internal/config"
	"keepalived-charm/internal/docstest"
)

// jujuCommands are the commands of Juju's client that the documentation names (Juju 2.9 to 4).
var jujuCommands = []string{
	"add-unit", "bind", "config", "debug-log", "deploy", "grant-secret", "integrate", "refresh", "relate",
	"remove-application", "remove-relation", "remove-unit", "resolved", "run", "run-action", "show-status-log",
	"show-unit", "spaces", "ssh", "status", "upgrade-machine", "attach-resource", "add-secret",
}

// command is a command of Juju's client in a block, or in a line of text between backquotes.
var command = regexp.MustCompile("(?m)(?:^\\s*(?:\\$ )?|`)juju ([a-z-]+)([^`\n#<|]*)")

func TestEveryJujuCommandCanBeTyped(t *testing.T) {
	dir, err := charm.ReadCharmDir(docstest.Root)
	require.NoError(t, err)
	endpoints := map[string]bool{}
	for _, side := range []map[string]charm.Relation{dir.Meta().Requires, dir.Meta().Provides, dir.Meta().Peers} {
		for name := range side {
			endpoints[name] = true
		}
	}
	seen := 0
	for name, p := range pages(t) {
		for _, m := range command.FindAllStringSubmatch(p.text+"\n"+p.fenced, -1) {
			said, arguments := m[0], strings.Fields(m[2])
			require.Contains(t, jujuCommands, m[1], "%s: %s", name, said)
			seen++
			switch {
			case m[1] == "config" && len(arguments) > 0 && arguments[0] == "keepalived":
				options(t, name, said, arguments[1:])
			case (m[1] == "run" || m[1] == "run-action") && len(arguments) > 1 && arguments[1] != "ACTION":
				action(t, name, said, dir.Actions(), arguments[1:])
			}
			for _, a := range arguments {
				if endpoint, is := strings.CutPrefix(a, "keepalived:"); is {
					require.True(t, endpoints[endpoint], "%s: %s", name, said)
				}
			}
		}
	}
	require.Greater(t, seen, 50)
}

// placeholder is a word that stands for what an operator fills in.
var placeholder = regexp.MustCompile(`^[A-Z]+$`)

// options requires that options exist and that their values are taken.
func options(t *testing.T, page, said string, arguments []string) {
	t.Helper()
	defaults, given := config.Defaults(), map[string]any{}
	for _, a := range arguments {
		option, value, set := strings.Cut(a, "=")
		if strings.HasPrefix(option, "-") || option == "NAME" {
			continue
		}
		require.Contains(t, defaults, option, "%s: %s", page, said)
		_, boolean := defaults[option].(bool)
		switch {
		case !set, strings.HasPrefix(value, "@"), placeholder.MatchString(value):
		case boolean:
			given[option] = value == "true"
			require.Contains(t, []string{"true", "false"}, value, "%s: %s", page, said)
		default:
			given[option] = value
		}
	}
	_, err := config.Parse(config.Effective(given))
	require.NoError(t, err, "%s: %s", page, said)
}

// action requires that an action exists, and its parameters.
func action(t *testing.T, page, said string, all *charm.Actions, arguments []string) {
	t.Helper()
	spec, is := all.ActionSpecs[arguments[0]]
	require.True(t, is, "%s: %s", page, said)
	properties, _ := spec.Params["properties"].(map[string]any)
	for _, a := range arguments[1:] {
		parameter, _, set := strings.Cut(a, "=")
		if set {
			require.Contains(t, properties, parameter, "%s: %s", page, said)
		}
	}
}

// TestEveryTargetOfMakeExists: in blocks, and in lines of text between backquotes.
func TestEveryTargetOfMakeExists(t *testing.T) {
	raw, err := os.ReadFile(filepath.Join(docstest.Root, "Makefile"))
	require.NoError(t, err)
	var targets []string
	for _, m := range regexp.MustCompile(`(?m)^([a-z-]+):(?:[^=]|$)`).FindAllStringSubmatch(string(raw), -1) {
		targets = append(targets, m[1])
	}
	for name, p := range pages(t) {
		for _, m := range regexp.MustCompile("(?m)(?:^\\s*|`)make ([a-z-]+)").FindAllStringSubmatch(p.fenced+"\n"+p.text, -1) {
			require.True(t, slices.Contains(targets, m[1]), "%s: %s", name, m[0])
		}
	}
}
