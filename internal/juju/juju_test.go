package juju_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/juju/charm/v12/hooks"
	"github.com/juju/names/v5"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"keepalived-charm/internal/juju"
)

func endpoints() []string { return []string{"juju-info", "lb-sink", "website", "cluster"} }

func environment(pairs ...string) func(string) string {
	return func(name string) string {
		for i := 0; i < len(pairs); i += 2 {
			if pairs[i] == name {
				return pairs[i+1]
			}
		}
		return ""
	}
}

func TestEventsAsJujuNamesThem(t *testing.T) {
	k := juju.Unit{Application: "keepalived", Number: 2}
	for claim, c := range map[string]struct {
		argv0 string
		env   []string
		want  juju.Event
	}{
		"by dispatch": {"/charm/dispatch", []string{"JUJU_DISPATCH_PATH", "hooks/install", "JUJU_UNIT_NAME", "keepalived/2"},
			juju.Event{Name: "install", Hook: hooks.Install, Unit: k}},
		"by the name of the file": {"/charm/hooks/config-changed", []string{"JUJU_UNIT_NAME", "keepalived/2"},
			juju.Event{Name: "config-changed", Hook: hooks.ConfigChanged, Unit: k}},
		"an action": {"dispatch", []string{"JUJU_DISPATCH_PATH", "actions/status", "JUJU_UNIT_NAME", "keepalived/2"},
			juju.Event{Kind: juju.Action, Name: "status", Unit: k}},
		"a relation hook": {"dispatch", []string{"JUJU_DISPATCH_PATH", "hooks/juju-info-relation-departed", "JUJU_UNIT_NAME", "keepalived/2",
			"JUJU_RELATION_ID", "juju-info:7", "JUJU_PRINCIPAL_UNIT", "haproxy/1", "JUJU_DEPARTING_UNIT", "haproxy/1"},
			juju.Event{Name: "juju-info-relation-departed", Hook: hooks.RelationDeparted, Endpoint: "juju-info", Relation: "juju-info:7",
				Unit: k, Principal: juju.Unit{Application: "haproxy", Number: 1}, Departing: juju.Unit{Application: "haproxy", Number: 1}}},
	} {
		t.Run(claim, func(t *testing.T) {
			got, err := juju.ParseEvent(c.argv0, environment(c.env...), endpoints())
			require.NoError(t, err)
			assert.Equal(t, c.want, got)
		})
	}
}

func TestWhatIsNoEventIsRefusedInWords(t *testing.T) {
	for _, c := range []struct{ path, unit, principal, want string }{
		{"install", "keepalived/0", "", "neither hooks/NAME nor actions/NAME"},
		{"hooks/../actions", "keepalived/0", "", "neither hooks/NAME nor actions/NAME"},
		{"hooks/install", "", "", "cannot read JUJU_UNIT_NAME"},
		{"hooks/install", "keepalived", "", "cannot read JUJU_UNIT_NAME"},
		{"hooks/install", "keepalived/0", "x", "cannot read JUJU_PRINCIPAL_UNIT"},
	} {
		_, err := juju.ParseEvent("dispatch", environment("JUJU_DISPATCH_PATH", c.path, "JUJU_UNIT_NAME", c.unit, "JUJU_PRINCIPAL_UNIT", c.principal), endpoints())
		require.ErrorContains(t, err, c.want, "%+v", c)
	}
}

// TestAHookThatIsNotKnownIsAHookAllTheSame: with dispatch Juju runs the charm for every
// hook that it knows, those of later versions included.
func TestAHookThatIsNotKnownIsAHookAllTheSame(t *testing.T) {
	for _, name := range []string{"nosuch", "nosuch-relation-joined", "website-relation-", "website-pebble-ready", "website-storage-attached"} {
		ev, err := juju.ParseEvent("dispatch", environment("JUJU_DISPATCH_PATH", "hooks/"+name, "JUJU_UNIT_NAME", "keepalived/0"), endpoints())
		require.NoError(t, err)
		assert.Equal(t, juju.Event{Name: name, Unit: juju.Unit{Application: "keepalived"}}, ev)
	}
}

func FuzzParseEvent(f *testing.F) {
	f.Add("dispatch", "hooks/install", "keepalived/0", "haproxy/0", "")
	f.Add("hooks/website-relation-joined", "", "k/1", "", "x/2")
	f.Add("", "", "", "", "")
	f.Add("/", "..", "a/b", "/", "\x00")
	f.Fuzz(func(t *testing.T, argv0, path, unit, principal, departing string) {
		ev, err := juju.ParseEvent(argv0, environment("JUJU_DISPATCH_PATH", path, "JUJU_UNIT_NAME", unit,
			"JUJU_PRINCIPAL_UNIT", principal, "JUJU_DEPARTING_UNIT", departing), endpoints())
		if err != nil {
			require.Equal(t, juju.Event{}, ev)
			return
		}
		require.NotEmpty(t, ev.Unit.Application)
		require.False(t, ev.Kind == juju.Action && ev.Hook != "")
		require.False(t, strings.ContainsAny(ev.Name, "/\x00") && ev.Kind == juju.Hook)
	})
}

func FuzzParseUnit(f *testing.F) {
	for _, s := range []string{"keepalived/0", "a-b/12", "x/-1", "/", "x/99999999999999999999", "x/0/lxd/1", "x/007", ""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		u, err := juju.ParseUnit(s)
		if !names.IsValidUnit(s) || len(s) > 200 { // a number that fits into no int
			require.Error(t, err)
		}
		if err != nil {
			require.False(t, names.IsValidUnit(s) && len(s) < 18, "Juju takes %q", s)
			require.Equal(t, juju.Unit{}, u)
			return
		}
		require.GreaterOrEqual(t, u.Number, 0)
		again, err := juju.ParseUnit(u.String())
		require.NoError(t, err)
		require.Equal(t, u, again)
		require.False(t, strings.ContainsAny(u.Application, "/.\\ \n\"{}"), "an application names files")
	})
}

func FuzzNetwork(f *testing.F) {
	f.Add(`{"bind-addresses":[{"interface-name":"eth0","addresses":[{"value":"10.10.74.11"}]}],"ingress-addresses":["10.10.74.11"]}`)
	f.Add(`{"bind-addresses":null,"ingress-addresses":["",""]}`)
	f.Add(`[]`)
	f.Fuzz(func(t *testing.T, text string) {
		var n juju.Network
		if json.Unmarshal([]byte(text), &n) != nil {
			return
		}
		seen := map[string]bool{}
		for _, a := range n.Addresses() {
			require.NotEmpty(t, a)
			require.False(t, seen[a])
			seen[a] = true
		}
	})
}

// TestNoUnitHasANameThatNoDirectoryCanHave: its agent's is unit-NAME-NUMBER.
func TestNoUnitHasANameThatNoDirectoryCanHave(t *testing.T) {
	for length, known := range map[int]bool{1: true, 248: true, 249: false, 130_000: false} {
		_, err := juju.ParseUnit(strings.Repeat("a", length) + "/1")
		assert.Equal(t, known, err == nil, length)
	}
}

func TestUnitsAndStatusesReadAsJujuShowsThem(t *testing.T) {
	assert.Equal(t, "", juju.Unit{}.String())
	assert.Equal(t, "keepalived/2", juju.Unit{Application: "keepalived", Number: 2}.String())
	assert.Equal(t, "active: VIP ready", juju.Status{Level: juju.Active, Message: "VIP ready"}.String())
}
