package hooktool_test

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"gopkg.in/yaml.v3"

	"keepalived-charm/internal/hooktool"
	"keepalived-charm/internal/juju"
)

// answer is what a fake tool does; it is kept in a file TOOL.json beside the tool.
type answer struct {
	Out, Err string
	Code     int
	Kill     bool
}

// call is what a fake tool was started with.
type call struct {
	Tool  string
	Args  []string
	Stdin string
}

// TestMain lets the test binary stand in for the hook tools: it is what the links
// in the directory of tools point at.
func TestMain(m *testing.M) {
	if dir := os.Getenv("FAKE_TOOLS"); dir != "" {
		os.Exit(fakeTool(dir))
	}
	os.Exit(m.Run())
}

func fakeTool(dir string) int {
	tool := filepath.Base(os.Args[0])
	stdin, _ := io.ReadAll(os.Stdin)
	line, _ := json.Marshal(call{tool, os.Args[1:], string(stdin)})
	log, err := os.OpenFile(filepath.Join(dir, "calls"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		panic(err)
	}
	fmt.Fprintf(log, "%s\n", line)
	text, err := os.ReadFile(filepath.Join(dir, tool+".json"))
	if err != nil {
		panic(err)
	}
	var a answer
	if err := json.Unmarshal(text, &a); err != nil {
		panic(err)
	}
	fmt.Fprint(os.Stdout, a.Out)
	fmt.Fprint(os.Stderr, a.Err)
	if a.Kill {
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	}
	return a.Code
}

// tools puts fake tools on the PATH and returns a function that lists the calls.
func tools(t *testing.T, answers map[string]answer) func() []call {
	t.Helper()
	dir := t.TempDir()
	self, err := os.Executable()
	require.NoError(t, err)
	for tool, a := range answers {
		require.NoError(t, os.Symlink(self, filepath.Join(dir, tool)))
		text, err := json.Marshal(a)
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(filepath.Join(dir, tool+".json"), text, 0o600))
	}
	t.Setenv("PATH", dir)
	t.Setenv("FAKE_TOOLS", dir)
	return func() []call {
		text, err := os.ReadFile(filepath.Join(dir, "calls"))
		require.NoError(t, err)
		var calls []call
		for line := range strings.Lines(string(text)) {
			var c call
			require.NoError(t, json.Unmarshal([]byte(line), &c))
			calls = append(calls, c)
		}
		return calls
	}
}

// one puts one fake tool on the PATH.
func one(t *testing.T, tool string, a answer) func() []call {
	t.Helper()
	return tools(t, map[string]answer{tool: a})
}

func TestOptions(t *testing.T) {
	for claim, c := range map[string]struct {
		out  string
		want map[string]any
	}{
		"typed values":                      {`{"port":443,"virtual_ip":"10.10.74.250","preempt":false,"advert_interval":0.2}` + "\n", map[string]any{"port": json.Number("443"), "virtual_ip": "10.10.74.250", "preempt": false, "advert_interval": json.Number("0.2")}},
		"a missing value is null":           {`{"virtual_ip":null}`, map[string]any{"virtual_ip": nil}},
		"no options":                        {`{}`, map[string]any{}},
		"null":                              {`null`, nil},
		"numbers beyond a float64 stay":     {`{"port":9007199254740993}`, map[string]any{"port": json.Number("9007199254740993")}},
		"an exponent stays as it was given": {`{"port":1e400}`, map[string]any{"port": json.Number("1e400")}},
	} {
		t.Run(claim, func(t *testing.T) {
			calls := one(t, "config-get", answer{Out: c.out})
			got, err := hooktool.Tools{}.Options()
			require.NoError(t, err)
			assert.Equal(t, c.want, got)
			assert.Equal(t, []call{{Tool: "config-get", Args: []string{"--format=json"}}}, calls())
		})
	}
}

func TestRelationsAreSorted(t *testing.T) {
	calls := one(t, "relation-ids", answer{Out: `["website:9","website:3"]`})
	ids, err := hooktool.Tools{}.Relations("website")
	require.NoError(t, err)
	assert.Equal(t, []juju.RelationID{"website:3", "website:9"}, ids)
	assert.Equal(t, []string{"--format=json", "website"}, calls()[0].Args)
	one(t, "relation-ids", answer{Out: `[]`})
	ids, err = hooktool.Tools{}.Relations("nosuch")
	require.NoError(t, err)
	assert.Empty(t, ids)
}

func TestRemoteUnits(t *testing.T) {
	calls := one(t, "relation-list", answer{Out: `["keepalived/1","keepalived/10"]`})
	units, err := hooktool.Tools{}.RemoteUnits("cluster:1")
	require.NoError(t, err)
	assert.Equal(t, []juju.Unit{{Application: "keepalived", Number: 1}, {Application: "keepalived", Number: 10}}, units)
	assert.Equal(t, []string{"--format=json", "-r", "cluster:1"}, calls()[0].Args)
	one(t, "relation-list", answer{Out: `["no unit"]`})
	_, err = hooktool.Tools{}.RemoteUnits("cluster:1")
	require.ErrorContains(t, err, `cannot list units of relation cluster:1: cannot use "no unit" as a unit name`)
}

// TestPlannedUnitsOfSeveralEndpoints: an application that is related on two is counted once.
func TestPlannedUnitsOfSeveralEndpoints(t *testing.T) {
	for relations, want := range map[string]int{
		`{"juju-info":{"haproxy/0":{},"haproxy/1":{},"haproxy":{}},"website":{"worker/0":{}}}`: 2,
		`{"ha":{"haproxy/0":{},"haproxy/1":{},"other/2":{}}}`:                                  2,
		`{"ha":{"haproxy/0":{}},"juju-info":{"haproxy/0":{},"haproxy/1":{}}}`:                  2,
		`{}`: 0,
	} {
		one(t, "goal-state", answer{Out: `{"relations":` + relations + `}`})
		n, err := hooktool.Tools{}.PlannedUnits([]string{"juju-info", "ha"}, "haproxy")
		require.NoError(t, err)
		assert.Equal(t, want, n, relations)
	}
}

func TestTheLeaderAndApplications(t *testing.T) {
	calls := one(t, "is-leader", answer{Out: "true\n"})
	leads, err := hooktool.Tools{}.Leader()
	require.NoError(t, err)
	assert.True(t, leads)
	assert.Equal(t, []string{"--format=json"}, calls()[0].Args)

	calls = one(t, "relation-list", answer{Out: `"kubernetes-control-plane"`})
	name, err := hooktool.Tools{}.RemoteApplication("lb-consumers:9")
	require.NoError(t, err)
	assert.Equal(t, "kubernetes-control-plane", name)
	assert.Equal(t, []string{"--format=json", "--app", "-r", "lb-consumers:9"}, calls()[0].Args)

	calls = one(t, "relation-get", answer{Out: `{"version":"1"}`})
	bag, err := hooktool.Tools{}.ApplicationDatabag("lb-consumers:9", "vault")
	require.NoError(t, err)
	assert.Equal(t, juju.Databag{"version": "1"}, bag)
	assert.Equal(t, []string{"--format=json", "--app", "-r", "lb-consumers:9", "-", "vault"}, calls()[0].Args)

	calls = one(t, "relation-set", answer{})
	require.NoError(t, hooktool.Tools{}.PublishForApplication("lb-consumers:9", juju.Databag{"version": "1"}))
	assert.Equal(t, []string{"--app", "-r", "lb-consumers:9", "--file", "-"}, calls()[0].Args)
}

func TestDatabag(t *testing.T) {
	calls := one(t, "relation-get", answer{Out: `{"ingress-address":"10.10.74.11","rank":"0"}`})
	bag, err := hooktool.Tools{}.Databag("cluster:1", juju.Unit{Application: "keepalived", Number: 2})
	require.NoError(t, err)
	assert.Equal(t, juju.Databag{"ingress-address": "10.10.74.11", "rank": "0"}, bag)
	assert.Equal(t, []string{"--format=json", "-r", "cluster:1", "-", "keepalived/2"}, calls()[0].Args)
	long := strings.Repeat("x", 300000) // more than a pipe holds
	one(t, "relation-get", answer{Out: `{"rank":"` + long + `"}`})
	bag, err = hooktool.Tools{}.Databag("cluster:1", juju.Unit{})
	require.NoError(t, err)
	assert.Equal(t, long, bag["rank"])
	one(t, "relation-get", answer{Out: "null\n"})
	bag, err = hooktool.Tools{}.Databag("cluster:1", juju.Unit{})
	require.NoError(t, err)
	assert.Empty(t, bag["rank"])
}

// TestNetworkOfEveryJuju reads what each Juju version prints.
func TestNetworkOfEveryJuju(t *testing.T) {
	for name, want := range map[string][]string{
		"2.9": {"10.10.74.11"}, "3.5": {"10.10.74.11", "10.10.74.250", "2001:db8::11"}, "empty": nil,
	} {
		t.Run(name, func(t *testing.T) {
			out, err := os.ReadFile(filepath.Join("testdata", "network-get-"+name+".json"))
			require.NoError(t, err)
			calls := one(t, "network-get", answer{Out: string(out)})
			n, err := hooktool.Tools{}.Network("juju-info")
			require.NoError(t, err)
			assert.Equal(t, want, n.Addresses())
			assert.Equal(t, []string{"--format=json", "juju-info"}, calls()[0].Args)
		})
	}
}

// TestPublishGoesThroughAFile: arguments are limited in length and cannot hold
// every text.
func TestPublishGoesThroughAFile(t *testing.T) {
	want := map[string]string{"hostname": "api.example.com", "port": "443", "deleted": "", "yes": "yes", "null": "~",
		"extended_data": `[{"a":"b"}]` + strings.Repeat("x", 300000), "lines": "a\nb: c\n", "number": "0x1F"}
	calls := one(t, "relation-set", answer{})
	require.NoError(t, hooktool.Tools{}.Publish("website:3", want))
	c := calls()[0]
	assert.Equal(t, []string{"-r", "website:3", "--file", "-"}, c.Args)
	got := map[string]any{}
	require.NoError(t, yaml.Unmarshal([]byte(c.Stdin), &got))
	for k, v := range want {
		assert.Equal(t, v, got[k], "a string stays a string")
	}
	assert.Len(t, got, len(want))
}

func TestTheStatusIsReadWithItsMessage(t *testing.T) {
	calls := one(t, "status-get", answer{Out: `{"message":"VIP ready: holds 10.10.74.250","status":"active","status-data":{}}`})
	s, err := hooktool.Tools{}.Status()
	require.NoError(t, err)
	assert.Equal(t, juju.Status{Level: juju.Active, Message: "VIP ready: holds 10.10.74.250"}, s)
	assert.Equal(t, []string{"--format=json", "--include-data"}, calls()[0].Args)
}

func TestToolsThatOnlyTakeArguments(t *testing.T) {
	for claim, c := range map[string]struct {
		tool string
		do   func() error
		args []string
	}{
		"status":  {"status-set", func() error { return hooktool.Tools{}.SetStatus(juju.Status{Level: juju.Active, Message: "VIP ready"}) }, []string{"active", "VIP ready"}},
		"version": {"application-version-set", func() error { return hooktool.Tools{}.SetWorkloadVersion("2.2.7") }, []string{"2.2.7"}},
		"log":     {"juju-log", func() error { hooktool.Tools{}.Log("-l x"); return nil }, []string{"-l", "INFO", "--", "-l x"}},
		"results": {"action-set", func() error {
			return hooktool.Tools{}.SetActionResults(map[string]string{"b": "2\n3", "a": ""})
		}, []string{"a=", "b=2\n3"}},
		"failure": {"action-fail", func() error { return hooktool.Tools{}.FailAction("no") }, []string{"no"}},
	} {
		t.Run(claim, func(t *testing.T) {
			calls := one(t, c.tool, answer{})
			require.NoError(t, c.do())
			assert.Equal(t, []call{{Tool: c.tool, Args: c.args}}, calls())
		})
	}
}

func TestAFailureEndsWithWhatJujuSaid(t *testing.T) {
	bag := func() error {
		_, err := hooktool.Tools{}.Databag("cluster:7", juju.Unit{Application: "keepalived", Number: 2})
		return err
	}
	for claim, c := range map[string]struct {
		tool string
		a    answer
		do   func() error
		want string
	}{
		"bad arguments": {"relation-get", answer{Err: "ERROR invalid value \"7\" for option -r: relation not found\n", Code: 2}, bag,
			`cannot read databag of keepalived/2 in relation cluster:7: exit status 2: ERROR invalid value "7" for option -r: relation not found`},
		"refused":         {"relation-get", answer{Err: "ERROR permission denied\n", Code: 1}, bag, "exit status 1: ERROR permission denied"},
		"silent":          {"relation-get", answer{Code: 1}, bag, "cannot read databag of keepalived/2 in relation cluster:7: exit status 1"},
		"killed":          {"relation-get", answer{Err: "ERROR half\n", Kill: true}, bag, "signal: killed: ERROR half"},
		"much to say":     {"relation-get", answer{Err: strings.Repeat("x", 300000), Code: 1}, bag, strings.Repeat("x", 300000)},
		"not JSON":        {"relation-get", answer{Out: "{"}, bag, "cannot read databag of keepalived/2 in relation cluster:7: "},
		"another type":    {"relation-get", answer{Out: `["x"]`}, bag, "cannot read databag of keepalived/2 in relation cluster:7: "},
		"nothing":         {"relation-get", answer{}, bag, "cannot read databag of keepalived/2 in relation cluster:7: "},
		"a missing tool":  {"other", answer{}, bag, "executable file not found"},
		"options":         {"config-get", answer{Err: "ERROR lost", Code: 1}, func() error { _, err := hooktool.Tools{}.Options(); return err }, "cannot read options: exit status 1: ERROR lost"},
		"relations":       {"relation-ids", answer{Code: 1}, func() error { _, err := hooktool.Tools{}.Relations("website"); return err }, "cannot list relations of endpoint website: exit status 1"},
		"units":           {"relation-list", answer{Code: 1}, func() error { _, err := hooktool.Tools{}.RemoteUnits("cluster:1"); return err }, "cannot list units of relation cluster:1: exit status 1"},
		"network":         {"network-get", answer{Err: "ERROR permission denied", Code: 1}, func() error { _, err := hooktool.Tools{}.Network("x"); return err }, `cannot read the network of endpoint x: exit status 1: ERROR permission denied`},
		"publish":         {"relation-set", answer{Err: "ERROR cannot write", Code: 1}, func() error { return hooktool.Tools{}.Publish("website:3", juju.Databag{}) }, "cannot publish in relation website:3: exit status 1: ERROR cannot write"},
		"status now":      {"status-get", answer{Err: "ERROR lost", Code: 1}, func() error { _, err := hooktool.Tools{}.Status(); return err }, "cannot read status: exit status 1: ERROR lost"},
		"status":          {"status-set", answer{Code: 2}, func() error { return hooktool.Tools{}.SetStatus(juju.Status{}) }, "cannot set status: exit status 2"},
		"version":         {"application-version-set", answer{Code: 1}, func() error { return hooktool.Tools{}.SetWorkloadVersion("") }, "cannot set workload version: exit status 1"},
		"action results":  {"action-set", answer{Code: 1}, func() error { return hooktool.Tools{}.SetActionResults(nil) }, "cannot set action results: exit status 1"},
		"action failures": {"action-fail", answer{Code: 1}, func() error { return hooktool.Tools{}.FailAction("x") }, "cannot fail the action: exit status 1"},
	} {
		t.Run(claim, func(t *testing.T) {
			one(t, c.tool, c.a)
			require.ErrorContains(t, c.do(), c.want)
		})
	}
}

// TestASpaceWithoutAnAddressIsANetworkWithoutOne: so Juju says it.
func TestASpaceWithoutAnAddressIsANetworkWithoutOne(t *testing.T) {
	one(t, "network-get", answer{Err: `ERROR no network config found for binding "cluster"`, Code: 1})
	network, err := hooktool.Tools{}.Network("cluster")
	require.NoError(t, err)
	require.Empty(t, network.Addresses())
}

func TestALogLineThatCannotBeWrittenStopsNothing(t *testing.T) {
	calls := one(t, "juju-log", answer{Code: 1})
	hooktool.Tools{}.Log("a line")
	assert.Len(t, calls(), 1)
}
