package facts_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const module = "keepalived-charm/"

// pure lists the packages that decide, and the packages of the charm that each
// may import. Imports point one way.
func pure() map[string][]string {
	return map[string][]string{
		"internal/plain":        {},
		"internal/juju":         {"internal/plain"},
		"internal/vrrp":         {"internal/plain"},
		"internal/metrics":      {"internal/vrrp"},
		"internal/cos":          {},
		"templates":             {},
		"internal/config":       {"internal/healthcheck", "internal/plain", "internal/vrrp"},
		"internal/group":        {"internal/juju", "internal/vrrp"},
		"internal/endpoint":     {"internal/group", "internal/juju", "internal/plain"},
		"internal/keepalived":   {"internal/vrrp", "templates"},
		"internal/healthcheck":  {"internal/plain", "internal/vrrp"},
		"internal/conflict":     {"internal/vrrp"},
		"internal/loadbalancer": {"internal/juju"},
		"internal/hacluster":    {"internal/healthcheck", "internal/juju", "internal/plain", "internal/vrrp"},
		"internal/applied":      {"internal/keepalived", "internal/vrrp"},
		"internal/layout":       {"internal/healthcheck"},
		"internal/step":         {},
		"internal/facts":        {"internal/applied", "internal/config", "internal/conflict", "internal/endpoint", "internal/group", "internal/hacluster", "internal/healthcheck", "internal/juju", "internal/keepalived", "internal/layout", "internal/loadbalancer", "internal/plain", "internal/step", "internal/vrrp"},
		"internal/status":       {"internal/config", "internal/juju", "internal/step"},
		"internal/decide":       {"internal/applied", "internal/config", "internal/conflict", "internal/cos", "internal/endpoint", "internal/facts", "internal/group", "internal/hacluster", "internal/healthcheck", "internal/juju", "internal/keepalived", "internal/layout", "internal/loadbalancer", "internal/plain", "internal/status", "internal/step", "internal/vrrp"},
		"internal/render":       {"internal/applied", "internal/config", "internal/decide", "internal/facts", "internal/juju", "internal/keepalived", "internal/layout", "templates"},
		"internal/plan":         {"internal/decide", "internal/facts", "internal/layout", "internal/status", "internal/step"},
		"internal/show":         {"internal/conflict", "internal/decide", "internal/facts", "internal/group", "internal/healthcheck", "internal/juju", "internal/keepalived", "internal/metrics", "internal/status", "internal/vrrp"},
	}
}

// allowed are the packages from elsewhere that do no I/O by themselves; io is only
// interfaces and io.EOF, crypto/x509 only ParseCertificate, sync only values worked out once.
func allowed() []string {
	return []string{
		"bytes", "cmp", "crypto/sha256", "crypto/x509", "embed", "encoding/base64", "encoding/binary", "encoding/hex", "encoding/json", "encoding/pem", "errors", "fmt", "io", "maps", "math", "math/bits", "net/netip", "net/url", "path", "slices",
		"strconv", "strings", "sync", "text/template", "time", "unicode", "unicode/utf8",
		"github.com/juju/charm/v12/hooks",
	}
}

// TestTheCoreDoesNoIO: what decides gets all it knows as arguments, so a decision
// can be repeated, tested and trusted. os, os/exec, net, net/http and syscall have
// no place there, nor has the clock.
func TestTheCoreDoesNoIO(t *testing.T) {
	for dir, ours := range pure() {
		for file, imports := range importsOf(t, dir) {
			for _, i := range imports {
				if own, found := strings.CutPrefix(i, module); found {
					require.Contains(t, ours, own, "%s: imports point one way", file)
					continue
				}
				require.Contains(t, allowed(), i, "%s: this package decides and does no I/O", file)
			}
		}
	}
}

// TestHooksReachTheOutsideThroughTheirInterfacesOnly: main hands the packages with
// effects in, so every hook can run in memory.
func TestHooksReachTheOutsideThroughTheirInterfacesOnly(t *testing.T) {
	for file, imports := range importsOf(t, "internal/charm") {
		for _, i := range imports {
			require.NotContains(t, []string{module + "internal/host", module + "internal/hooktool", "os", "os/exec", "net", "syscall"}, i, file)
		}
	}
}

// importsOf returns the imports of each file of a package, tests left out.
func importsOf(t *testing.T, dir string) map[string][]string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("../..", dir, "*.go"))
	require.NoError(t, err)
	found := map[string][]string{}
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ImportsOnly)
		require.NoError(t, err)
		imports := []string{}
		for _, i := range file.Imports {
			path, err := strconv.Unquote(i.Path.Value)
			require.NoError(t, err)
			imports = append(imports, path)
		}
		slices.Sort(imports)
		found[name] = imports
	}
	require.NotEmpty(t, found, dir)
	return found
}

// TestTheCoreReadsNoClock: time is an argument too.
func TestTheCoreReadsNoClock(t *testing.T) {
	for dir := range pure() {
		files, err := filepath.Glob(filepath.Join("../..", dir, "*.go"))
		require.NoError(t, err)
		for _, name := range files {
			if strings.HasSuffix(name, "_test.go") {
				continue
			}
			text, err := os.ReadFile(name)
			require.NoError(t, err)
			for _, call := range []string{"time.Now(", "time.Since(", "time.Sleep(", "rand."} {
				require.NotContains(t, string(text), call, name)
			}
		}
	}
}

// readers are the functions that understand text: of files, databags and options.
func readers() map[string][]string {
	return map[string][]string{
		"keepalived":  {"Instances", "Settings", "Load", "VirtualAddresses", "Places", "Password", "Peers", "ReadParameters", "ReadPython", "IsPython", "ParseState"},
		"healthcheck": {"Parse"},
		"endpoint":    {"ReadMember"},
		"config":      {"Read", "Parse"},
		"applied":     {"Read", "Decode"},
		"json":        {"Unmarshal", "NewDecoder"},
		"juju":        {"ParseUnit"},
		"vrrp":        {"ParseParameters"},
		"netip":       {"ParseAddr", "ParseAddrPort", "ParsePrefix", "MustParseAddr", "MustParsePrefix"},
		"strconv":     {"Atoi", "ParseBool", "ParseFloat", "ParseInt", "ParseUint", "Unquote"},
	}
}

// TestTextIsReadOnceWhereItComesIn: what decides, plans, renders and shows gets values.
func TestTextIsReadOnceWhereItComesIn(t *testing.T) {
	calls := 0
	for dir, allowed := range map[string][]string{
		"internal/decide": {"group.go netip.ParseAddr"},
		// The words of units are understood there.
		"internal/group":  {"word.go juju.ParseUnit", "word.go vrrp.ParseParameters", "word.go netip.ParseAddr", "word.go strconv.Atoi", "word.go strconv.ParseInt"},
		"internal/plan":   {},
		"internal/render": {},
		"internal/show":   {"network.go netip.ParseAddr"},
		// Where options, databags and actions' parameters come in, and the journal's words.
		"internal/charm": {"observe.go config.Read", "observe.go facts.ReadMember", "observe.go facts.ReadService", "actions.go strconv.Atoi", "history.go netip.ParseAddr"},
	} {
		files, err := filepath.Glob(filepath.Join("../..", dir, "*.go"))
		require.NoError(t, err)
		for _, name := range files {
			if strings.HasSuffix(name, "_test.go") {
				continue
			}
			file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
			require.NoError(t, err)
			ast.Inspect(file, func(n ast.Node) bool {
				s, ok := n.(*ast.SelectorExpr)
				if !ok {
					return true
				}
				of, ok := s.X.(*ast.Ident)
				if !ok {
					return true
				}
				call := of.Name + "." + s.Sel.Name
				if slices.Contains(allowed, filepath.Base(name)+" "+call) {
					if dir == "internal/charm" && filepath.Base(name) == "observe.go" {
						calls++
					}
				} else {
					require.NotContains(t, readers()[of.Name], s.Sel.Name, "%s: %s", name, call)
				}
				return true
			})
		}
	}
	require.Equal(t, 4, calls, "each is called in one place: options, own databags of two kinds, peers' databags; files are read by Machine.Understood")
}
