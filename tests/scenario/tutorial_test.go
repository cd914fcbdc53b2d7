package scenario_test

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"keepalived-charm/tests/poll"
)

// tutorial types what docs/tutorial.md says to type, and compares what it shows; with
// UPDATE_GOLDEN=1 it writes what it saw.
type tutorial struct {
	d     *deployment
	text  string
	write bool
	// shown and now are where units are, and which holds: on the page and in the lab.
	shown, now roles
	// dead is the machine that was switched off last.
	dead string
}

const tutorialFile = "../../docs/tutorial.md"

func (d *deployment) tutorial(t *testing.T) *tutorial {
	t.Helper()
	text, err := os.ReadFile(tutorialFile)
	require.NoError(t, err)
	return &tutorial{d: d, text: string(text), write: os.Getenv("UPDATE_GOLDEN") != ""}
}

// block is a fenced block: of commands, or of commands each with what it prints.
var block = regexp.MustCompile("(?ms)^```(sh|console)\n(.*?)^```$")

// section types what one section says.
func (u *tutorial) section(t *testing.T, title string) {
	t.Helper()
	before, rest, found := strings.Cut(u.text, "\n## "+title+"\n")
	require.True(t, found, title)
	section, after, more := strings.Cut(rest, "\n## ")
	section = block.ReplaceAllStringFunc(section, func(b string) string {
		m := block.FindStringSubmatch(b)
		if m[1] == "sh" {
			typed := ""
			for line := range strings.Lines(m[2]) {
				command := u.translate(strings.TrimSpace(line))
				u.types(t, command)
				typed += command + "\n"
			}
			return "```sh\n" + typed + "```"
		}
		command, want, _ := strings.Cut(strings.TrimPrefix(m[2], "$ "), "\n")
		return "```console\n$ " + u.compare(t, command, strings.TrimSpace(want)) + "\n```"
	})
	if u.write && more {
		u.text = before + "\n## " + title + "\n" + section + "\n## " + after
		require.NoError(t, os.WriteFile(tutorialFile, []byte(u.text), 0o644))
	}
}

// outrun is why the holder is one where another standby was first.
var outrun = regexp.MustCompile(`became holder: keepalived/\d+\s+had\s+a\s+lower\s+priority \(\d+\)`)

// compare types a command until it prints what the page shows. It returns the command as it
// was typed, and what it printed.
func (u *tutorial) compare(t *testing.T, command, want string) string {
	t.Helper()
	typed := u.translate(command)
	got := u.types(t, typed)
	if !u.write && strings.HasPrefix(typed, "juju status") {
		// Statuses follow within seconds.
		poll.Until(t, func() bool {
			if shape(got) != shape(want) {
				got = u.types(t, typed)
			}
			return shape(got) == shape(want)
		}, time.Minute, time.Second, "%s prints\n%s", typed, want)
	}
	// Of two standbys the other one may be first, by some milliseconds on a busy machine, and
	// gives way at once: then the history says so.
	tied := strings.Contains(typed, " history ") && outrun.MatchString(got)
	if !u.write {
		if !tied {
			require.Equal(t, shape(want), shape(got), "$ %s printed\n%s", typed, got)
		}
		u.shown = u.shown.after(want)
	} else {
		u.shown = u.shown.after(got)
	}
	u.now = u.now.after(got)
	return typed + "\n" + got
}

// types has a command typed in the lab, whose haproxy is a charm of its own, whose machines are
// no containers of LXD, and which has a client on the segment.
func (u *tutorial) types(t *testing.T, command string) string {
	t.Helper()
	name, rest, _ := strings.Cut(command, " ")
	switch {
	case name == "juju":
		out := u.d.juju(t, strings.Replace(rest, "deploy haproxy", "deploy ./haproxy", 1))
		if !strings.HasPrefix(rest, "status") && !strings.HasPrefix(rest, "run") {
			u.d.settled(t)
		}
		return others.ReplaceAllString(out, "")
	case name == "curl":
		u.d.waitHolder(t)
		out, err := u.d.Net.ClientCommand(u.d.ctx, name, "--silent", "--show-error", "--max-time", "5", rest).CombinedOutput()
		require.NoError(t, err, string(out))
		return strings.TrimSpace(string(out))
	case strings.HasPrefix(rest, "stop --force lab-"):
		u.dead = strings.TrimPrefix(rest, "stop --force lab-")
		require.NoError(t, u.d.Kill(u.d.ctx, u.dead))
	case rest == "start lab-"+u.dead:
		u.d.heal(t, u.dead)
	default:
		require.Fail(t, "nobody types this in the lab", command)
	}
	return ""
}

// roles are the units by their machines, and the machine that holds.
type roles struct {
	units  map[string]string
	holder string
}

var (
	unitRow    = regexp.MustCompile(`(?m)^ +(keepalived/\d+)\*? .* (10\.10\.74\.1\d) +(.*)$`)
	machineRow = regexp.MustCompile(`(?m)^(\d) +\w+ +(10\.10\.74\.1\d) `)
	answered   = regexp.MustCompile(`^juju-(\d)$`)
)

// after is what one knows after a command has printed something.
func (r roles) after(printed string) roles {
	if m := answered.FindStringSubmatch(printed); m != nil {
		r.holder = m[1]
	}
	if rows := unitRow.FindAllStringSubmatch(printed, -1); rows != nil {
		r.units = map[string]string{}
		machines := map[string]string{} // by address
		for _, row := range machineRow.FindAllStringSubmatch(printed, -1) {
			machines[row[2]] = row[1]
		}
		for _, row := range rows {
			id := machines[row[2]]
			r.units[id] = row[1]
			if strings.HasPrefix(row[3], "VIP ready: holds") {
				r.holder = id
			}
		}
	}
	return r
}

// translate is a command of the page for the machine and the unit that hold in the lab.
func (u *tutorial) translate(command string) string {
	switch {
	case strings.HasPrefix(command, "lxc start "):
		return "lxc start lab-" + u.dead
	case u.write:
		// Whatever the page named before: the holder is meant.
		command = regexp.MustCompile(`lab-\d`).ReplaceAllString(command, "lab-"+u.now.holder)
		return regexp.MustCompile(`keepalived/\d`).ReplaceAllString(command, u.now.units[u.now.holder])
	case u.shown.holder == "":
		return command
	}
	command = strings.ReplaceAll(command, "lab-"+u.shown.holder, "lab-"+u.now.holder)
	return strings.ReplaceAll(command, u.shown.units[u.shown.holder], u.now.units[u.now.holder])
}

var (
	figures = regexp.MustCompile(`\d+([.:-]\d+)*(m?s\b)?`)
	spaces  = regexp.MustCompile(` +`)
	// A unit whose agent answers for the application says what that one does.
	ofLeader = regexp.MustCompile(`(?m)^(keepalived N active .* no) .*$`)
)

// others are applications that the scenario has beside those of the tutorial.
var others = regexp.MustCompile(`(?m)^kubernetes-.*\n`)

// shape is what does not differ between runs: which units have which numbers, who leads, times.
func shape(s string) string {
	s = figures.ReplaceAllString(strings.ReplaceAll(s, "*", ""), "N")
	lines := strings.Split(ofLeader.ReplaceAllString(spaces.ReplaceAllString(s, " "), "$1"), "\n")
	for n := range lines {
		lines[n] = strings.TrimSpace(lines[n])
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}
