package charm_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"keepalived-charm/internal/charm"
	"keepalived-charm/internal/charmtest"
	"keepalived-charm/internal/checker"
	"keepalived-charm/internal/facts"
	"keepalived-charm/internal/history"
	"keepalived-charm/internal/juju"
	"keepalived-charm/internal/layout"
)

// documented returns the keys that docs/reference/actions.md lists, by action and key, with
// whether they are always there.
func documented(t *testing.T) map[string]map[string]bool {
	t.Helper()
	text, err := os.ReadFile("../../docs/reference/actions.md")
	require.NoError(t, err)
	all := map[string]map[string]bool{}
	name, row := regexp.MustCompile("^`([a-zN-]+)`$"), ""
	for line := range strings.Lines(string(text)) {
		if title, ok := strings.CutPrefix(line, "## "); ok {
			row = strings.TrimSpace(title)
			all[row] = map[string]bool{}
			continue
		}
		cells := strings.Split(line, " | ")
		if len(cells) != 3 {
			continue
		}
		for key := range strings.SplitSeq(strings.TrimPrefix(cells[0], "| "), ", ") {
			if m := name.FindStringSubmatch(key); m != nil {
				all[row][m[1]] = cells[1] == "always"
			}
		}
	}
	return all
}

// circumstances are states in which somebody runs an action.
func circumstances(t *testing.T) map[string]charmtest.State {
	holder := holding(t, "true")
	holder.Host.Once = checker.Once{Type: "tcp", Target: "localhost:443", Passes: true, DurationMS: 0.4}
	holder.Host.Check.Heard = []facts.Heard{{Instance: "charm_keepalived", Address: netip.MustParseAddr("10.10.74.12"), Priority: 203, Last: time.Now(), Speaks: true}}
	holder.Host.Journal = []history.Entry{{Time: time.Now(), Event: history.BecameHolder, Cause: "10.10.74.12 handed over (priority 0)", Peer: "10.10.74.12"}}
	return map[string]charmtest.State{
		"holder":  holder,
		"standby": with(holder, func(s *charmtest.State) { s.Host.Holds = false }),
		"sick": with(holder, func(s *charmtest.State) {
			s.Host.Check = facts.CheckResult{Known: true, Reason: "refused"}
			s.Host.Once = checker.Once{Type: "tcp", Target: "localhost:443", Reason: "refused"}
		}),
		"alone":            with(serving(t), func(s *charmtest.State) { s.Host.Once = holder.Host.Once }),
		"blocked":          option(holder, "virtual_ip", "nonsense"),
		"without a daemon": with(holder, func(s *charmtest.State) { s.Host.Keepalived = charmtest.Daemon{} }),
		"not configured":   charmtest.NewState(0),
		"paused": with(holder, func(s *charmtest.State) {
			s.Host.Files[s.Layout().Paused()] = ""
		}),
	}
}

// waiting are actions that wait for what these states' daemons never do, with the
// circumstances in which they do not.
var waiting = map[string][]string{
	"pause":   {"holder", "standby", "paused", "alone", "blocked", "not configured"},
	"restart": {"standby", "blocked"},
	"resume":  {"paused", "holder", "blocked"},
}

var number = regexp.MustCompile(`-\d+`)

func TestEveryResultIsDocumentedAndEveryDocumentedResultExists(t *testing.T) {
	t.Parallel()
	want := documented(t)
	require.ElementsMatch(t, slices.Collect(maps.Keys(charm.Actions())), slices.Collect(maps.Keys(want)))
	for action, keys := range want {
		seen, ran := map[string]bool{}, 0
		for claim, s := range circumstances(t) {
			if quick, limited := waiting[action]; limited && !slices.Contains(quick, claim) {
				continue
			}
			out := act(t, action, s)
			if out.Juju.Failure != "" {
				require.Empty(t, out.Juju.Results, "%s, %s", action, claim)
				continue
			}
			ran++
			var parsed any
			require.NoError(t, json.Unmarshal([]byte(out.Juju.Results["json"]), &parsed), "%s, %s", action, claim)
			for key, value := range out.Juju.Results {
				require.Regexp(t, "^[a-z][a-z0-9-]*[a-z0-9]$", key, "as Juju wants it")
				require.NotEmpty(t, value, "%s, %s, %s", action, claim, key)
				seen[number.ReplaceAllString(key, "-N")] = true
			}
			for key, always := range keys {
				if always {
					require.Contains(t, out.Juju.Results, key, "%s, %s", action, claim)
				}
			}
		}
		require.NotZero(t, ran, action)
		require.ElementsMatch(t, slices.Collect(maps.Keys(keys)), slices.Collect(maps.Keys(seen)), "keys of %s", action)
	}
}

// TestTheConfigurationIsShownAsFarAsItHasRoom: Juju's tool takes each result as an
// argument, of 128 KiB at most (execve(2)), the one for programs included.
func TestTheConfigurationIsShownAsFarAsItHasRoom(t *testing.T) {
	s := circumstances(t)["holder"]
	l := s.Layout()
	whole := act(t, "get-configuration", s).Juju.Results
	require.Equal(t, s.Host.Files[l.Fragment()], whole["fragment"], "what has room is whole")
	line := "# é \"<&>\" \\ " + strings.Repeat("x", 50) + "\n"
	for claim, grown := range map[string]map[string]string{
		"all grew":         {l.Fragment(): s.Host.Files[l.Fragment()] + strings.Repeat(line, 9000), l.CheckerConfig(): strings.Repeat(line, 5000), layout.MainFile: s.Host.Files[layout.MainFile] + strings.Repeat(line, 5000)},
		"the fragment":     {l.Fragment(): s.Host.Files[l.Fragment()] + strings.Repeat(line, 1300)},
		"a line for a man": {l.Fragment(): strings.Repeat("x", 1<<20)},
		"bytes of no text": {l.Fragment(): strings.Repeat("\xff\x00\n", 50_000)},
	} {
		out := act(t, "get-configuration", with(s, func(s *charmtest.State) { maps.Copy(s.Host.Files, grown) }))
		require.Empty(t, out.Juju.Failure, claim)
		for key, value := range out.Juju.Results {
			require.Less(t, len(key)+len(value), 128<<10, "%s: %s", claim, key)
		}
		require.Regexp(t, `\n# \d+ more bytes, see /etc/keepalived/charm.d/keepalived.conf\n$`, out.Juju.Results["fragment"], claim)
		var parsed map[string]string
		require.NoError(t, json.Unmarshal([]byte(out.Juju.Results["json"]), &parsed))
		require.NotEmpty(t, parsed["checker"], claim)
	}
}

func TestABadParameterIsRefusedAndChangesNothing(t *testing.T) {
	s := circumstances(t)["holder"]
	for _, c := range []struct {
		action, name string
		value        any
		want         string
	}{
		{"pause", "force", "yes", "cannot pause: parameter force is yes, must be true or false"},
		{"pause", "force", 1, "must be true or false"},
		{"pause", "hard", true, `cannot run pause: it takes no parameter "hard"`},
		{"failover", "to", "keepalived/1", `it takes no parameter "to"`},
		{"restart", "force", true, `it takes no parameter "force"`},
		{"resume", "x", nil, `it takes no parameter "x"`},
		{"history", "limit", 0, "cannot show the history: parameter limit is 0, must be a whole number from 1 to 1000"},
		{"history", "limit", 1001, "from 1 to 1000"},
		{"history", "limit", 1.5, "must be a whole number"},
		{"history", "limit", "20", "must be a whole number"},
		{"history", "limit", json.Number("-1"), "must be a whole number"},
	} {
		s := with(s, func(s *charmtest.State) { s.Juju.Parameters = map[string]any{c.name: c.value} })
		out := act(t, c.action, s)
		require.Contains(t, out.Juju.Failure, c.want)
		require.Empty(t, out.Juju.Results)
		require.Empty(t, out.Steps)
		require.Equal(t, s.Host.String(), out.Host.String())
	}
}

func TestStatusTellsEachVirtualIPsPart(t *testing.T) {
	all := circumstances(t)
	r := act(t, "status", all["holder"]).Juju.Results
	require.Equal(t, "10.10.74.250", r["vip-1"])
	require.Equal(t, []string{"holder", "keepalived/0", "yes", "passes"},
		[]string{r["vip-1-role"], r["vip-1-holder"], r["vip-1-present"], r["vip-1-check"]})
	require.Regexp(t, `^keepalived/1 \d+\.\d s ago \(priority 203\)$`, r["vip-1-heard"])
	require.Regexp(t, `^keepalived/1 at 10.10.74.12: machine answers: yes; told: takes part, check passes; heard: `, r["peer-1"])
	r = act(t, "status", with(all["standby"], func(s *charmtest.State) {
		s.Host.Silent = []netip.Addr{netip.MustParseAddr("10.10.74.12")}
	})).Juju.Results
	require.Equal(t, []string{"standby", "keepalived/1", "no"}, []string{r["vip-1-role"], r["vip-1-holder"], r["vip-1-present"]})
	require.Contains(t, r["peer-1"], "machine answers: no")
	require.Equal(t, "fails: refused", act(t, "status", all["sick"]).Juju.Results["vip-1-check"])
	require.Equal(t, "unknown", act(t, "status", all["without a daemon"]).Juju.Results["vip-1-role"])
}

func TestHistoryNamesUnitsAndExplains(t *testing.T) {
	at := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	s := circumstances(t)["holder"]
	next := "keepalived/1 4 1700000000 version=3 mode=multicast vrid=24 interval=200ms anchor=169.254.24.112"
	s.Host.Journal = []history.Entry{
		{Time: at, Event: history.BecameHolder, Cause: "10.10.74.12 went silent, last heard 0.61 s before", Peer: "10.10.74.12"},
		{Time: at.Add(time.Minute), Event: history.BecameStandby, Cause: history.Unknown, Peer: "10.10.74.99"},
		{Time: at.Add(time.Minute + time.Second), Event: history.KeepalivedEnded, Cause: "killed by SIGKILL", Again: 9, Last: at.Add(time.Minute + 5*time.Second)},
		{Time: at.Add(2 * time.Minute), Event: history.StandsAside, Cause: next},
		{Time: at.Add(3 * time.Minute), Event: history.HolderChanged, Cause: "10.10.74.99 handed over (priority 0)", Peer: "10.10.74.12"},
	}
	r := act(t, "history", s).Juju.Results
	require.Equal(t, strings.Join([]string{
		"2026-11-22T12:00:00Z became holder: keepalived/1 went silent, last heard 0.61 s before",
		"2026-11-22T12:01:00Z became standby: keepalived ended: killed by SIGKILL; holder is 10.10.74.99",
		"2026-11-22T12:01:01Z keepalived ended: killed by SIGKILL; 9 more, the last at 2026-11-22T12:01:05Z",
		"2026-11-22T12:02:00Z stands aside: keepalived/1 changes over to version=3 mode=multicast vrid=24 interval=200ms anchor=169.254.24.112",
		"2026-11-22T12:03:00Z holder changed: 10.10.74.99 handed over (priority 0); now keepalived/1",
	}, "\n"), r["history"])
	require.Equal(t, []string{"5", "5"}, []string{r["shown"], r["kept"]})
	s.Juju.Parameters = map[string]any{"limit": json.Number("2")}
	r = act(t, "history", s).Juju.Results
	require.Equal(t, []string{"2", "5"}, []string{r["shown"], r["kept"]})
	require.True(t, strings.HasPrefix(r["history"], "2026-11-22T12:02:00Z"), r["history"])
}

// TestALongHistoryFitsIntoArguments: execve(2) takes 128 KiB each.
func TestALongHistoryFitsIntoArguments(t *testing.T) {
	s := circumstances(t)["holder"]
	for n := range history.Most {
		s.Host.Journal = append(s.Host.Journal, history.Entry{Time: time.Unix(int64(n), 0), Event: history.CheckFailed, Cause: strings.Repeat("\"", 100)})
	}
	s.Juju.Parameters = map[string]any{"limit": history.Most}
	r := act(t, "history", s).Juju.Results
	require.Less(t, len(r["json"]), 128<<10)
	require.Less(t, len(r["history"]), 128<<10)
	require.NotEqual(t, r["shown"], r["kept"])
}

func TestNoResultHoldsAPassword(t *testing.T) {
	t.Parallel()
	s := charmtest.Run(t, "config-changed", authenticated(t, "hunter2")).State
	for action := range charm.Actions() {
		for key, value := range act(t, action, s).Juju.Results {
			require.NotContains(t, value, "hunter2", "%s, %s", action, key)
		}
	}
}

func TestStatusOfManyVirtualIPsFitsIntoArguments(t *testing.T) {
	var list []string
	for n := range 500 {
		list = append(list, netip.AddrFrom4([4]byte{10, 10, byte(80 + n/200), byte(1 + n%200)}).String())
	}
	s := run(t, option(holding(t, "true"), "virtual_ip", strings.Join(list, " ")), "config-changed")
	require.Equal(t, juju.Active, s.Juju.Status.Level, s.Juju.Status.Message)
	r := act(t, "status", s).Juju.Results
	require.Less(t, len(r["json"]), 128<<10)
	require.Contains(t, r, "vip-20")
	require.NotContains(t, r, "vip-21")
	require.Contains(t, r["json"], list[499])
}

func TestStatusTellsTheHolderOfEachVirtualIPThatIsSpreadOut(t *testing.T) {
	c := spreadOut(t, 3, threeVIPs)
	r := act(t, "status", c.Nodes[1].State.Clone()).Juju.Results
	for n, want := range []string{"10.10.74.250 standby no", "10.10.74.251 holder yes", "10.10.74.252 standby no"} {
		key := fmt.Sprintf("vip-%d", n+1)
		require.Equal(t, want, r[key]+" "+r[key+"-role"]+" "+r[key+"-present"])
		require.Equal(t, fmt.Sprintf("keepalived/%d", n), r[key+"-holder"])
	}
}
