package plain_test

import (
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"

	"keepalived-charm/internal/plain"
)

func FuzzWord(f *testing.F) {
	for _, s := range []string{"", "eth0", "eth0.12", "a b", "x\n", "é", "0123456789abcdef", "br-0123456789ab", "\x00", "/"} {
		f.Add(s)
	}
	word, hex := regexp.MustCompile(`^[A-Za-z0-9._:@-]{1,15}\z`), regexp.MustCompile(`^[0-9a-f]{4}\z`)
	f.Fuzz(func(t *testing.T, s string) {
		require.Equal(t, word.MatchString(s), plain.Word(s, 15, "._:@-"))
		require.Equal(t, hex.MatchString(s), plain.Of(s, 4, plain.Hex))
	})
}
