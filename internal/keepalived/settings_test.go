package keepalived_test

import (
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"keepalived-charm/internal/keepalived"
)

func TestSettingsOfAnybodysConfiguration(t *testing.T) {
	for claim, c := range map[string]struct {
		text string
		want []string
	}{
		"in global_defs":             {"global_defs {\n  vrrp_strict\n  vrrp_garp_interval 0.5\n}", []string{"vrrp_strict", "vrrp_garp_interval 0.5"}},
		"at top level":               {"net_namespace blue\nvrrp_instance a {\n  state MASTER\n}", []string{"net_namespace blue"}},
		"on one line":                {"global_defs { vrrp_strict }", []string{"vrrp_strict"}},
		"a brace on the next line":   {"global_defs\n{\nvrrp_strict\n}\n", []string{"global_defs", "vrrp_strict"}},
		"several blocks":             {"global_defs {\n}\nglobal_defs {\n a b\n}\n", []string{"a b"}},
		"no comments":                {"global_defs { # {\n# vrrp_strict\n! vrrp_strict\n a # vrrp_strict\n}", []string{"a"}},
		"quotes":                     {"global_defs {\n router_id \"a } # b\"\n vrrp_strict\n}", []string{"router_id a } # b", "vrrp_strict"}},
		"not of inner blocks":        {"global_defs {\n notification_email {\n  vrrp_strict\n }\n c\n}", []string{"c"}},
		"of groups for ARP":          {"garp_group {\n garp_interval 2\n interface eth0\n}", []string{"garp_interval 2 on eth0"}},
		"of a group of interfaces":   {"garp_group {\n interfaces {\n eth0 eth1\n eth2 }\n gna_interval 2\n}", []string{"gna_interval 2 on eth0 eth1 eth2"}},
		"of each group for its own":  {"garp_group { interface eth0\n garp_interval 1 }\ngarp_group\n{\n interface eth1\n garp_interval 2 }", []string{"garp_interval 1 on eth0", "garp_group", "garp_interval 2 on eth1"}},
		"no group of none":           {"garp_group {\n garp_interval 2\n}", nil},
		"of interfaces' delays":      {"interface_up_down_delays {\n eth0 1.5 30\n eth1\n}", []string{"interface_up_down_delays 1.5 30 on eth0"}},
		"with a condition":           {"global_defs {\n @blue vrrp_strict\n@^red a\n}", []string{"vrrp_strict", "a"}},
		"a line that goes on":        {"global_defs {\n vrrp_garp_interval \\\n 3\n}", []string{"vrrp_garp_interval 3"}},
		"behind an end that is none": {"}\n}\nnet_namespace x", []string{"net_namespace x"}},
		"nothing in an open quote":   {"global_defs {\n router_id \"\n vrrp_strict }", []string{"router_id ", "vrrp_strict"}},
	} {
		var got []string
		for _, s := range keepalived.Settings(c.text) {
			words := s.Words
			if s.On != nil {
				words = append(append(words, "on"), s.On...)
			}
			got = append(got, strings.Join(words, " "))
		}
		assert.Equal(t, c.want, trimmed(got), claim)
	}
}

// trimmed leaves out what an unfinished quote leaves at the end of a word.
func trimmed(lines []string) []string {
	for n := range lines {
		lines[n] = strings.TrimRight(lines[n], "\n")
	}
	return lines
}

func FuzzSettings(f *testing.F) {
	f.Add("global_defs {\n vrrp_strict\n}\n")
	f.Add("@x \"{\n}'}{{")
	f.Fuzz(func(t *testing.T, text string) {
		for _, s := range keepalived.Settings(text) {
			require.NotEmpty(t, s.Words)
		}
	})
}

// Every hook reads the owner's file, whatever somebody put there.
func TestReadingGrowsWithTheTextAndNotWithItsSquare(t *testing.T) {
	for claim, piece := range map[string]string{
		"one word":                 "x",
		"one word in quotes":       `"x`,
		"bytes that are no text":   "\xff",
		"words of one line":        "x ",
		"lines":                    "vrrp_instance x {\n}\n",
		"blocks that do not end":   "{",
		"named blocks without end": "x {\n",
		"lines that go on":         "x \\\n",
		"definitions":              "$A=x\n",
		"one line of references":   "$A ",
	} {
		read := func(size int) float64 {
			text := strings.Repeat(piece, size/len(piece))
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			loaded := keepalived.Load(keepalived.Definitions{}, "/a", text, func(string) map[string]string { return nil })
			keepalived.Settings(loaded)
			keepalived.Instances(loaded)
			keepalived.Places(text)
			runtime.ReadMemStats(&after)
			return float64(after.TotalAlloc - before.TotalAlloc)
		}
		half, whole := read(1<<15), read(1<<16)
		assert.Less(t, whole/half, 2.8, "%s: %.0f and %.0f bytes", claim, half, whole)
	}
}
