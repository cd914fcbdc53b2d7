package hooktool

import (
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
	"gopkg.in/yaml.v3"

	"keepalived-charm/internal/juju"
)

// FuzzMapping: whatever a databag holds, Juju reads what was meant, with the library of
// which its own is a version.
func FuzzMapping(f *testing.F) {
	for _, s := range []string{"", "yes", "~", "0x1F", "a\nb: c\n", "\x00\a\b\t\v\f\r\x1b\x7f\u0085\u2028\ufeff", "😀 \"\\ {}[]&*!|>%@`#'", "\xff"} {
		f.Add("key", s)
	}
	f.Fuzz(func(t *testing.T, k, v string) {
		if len(k) > 500 || !utf8.ValidString(k) || !utf8.ValidString(v) {
			return // keys are the charm's own words
		}
		want := juju.Databag{k: v, "other": "x"}
		got := map[string]any{}
		require.NoError(t, yaml.Unmarshal(mapping(want), &got))
		require.Len(t, got, len(want))
		require.Equal(t, v, got[k])
	})
}
