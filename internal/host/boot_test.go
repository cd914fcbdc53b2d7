package host

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestABootHasAName(t *testing.T) {
	const id, stat, began = "/proc/sys/kernel/random/boot_id", "/proc/1/stat", "1 (a) b) S 0 1 1 0 -1 4194560 9 9 9 9 9 9 9 9 20 0 1 0 "
	h := New(t.TempDir(), "")
	for _, row := range []struct{ file, text, want string }{
		{id, "one\n", ""},
		{stat, began, ""},
		{stat, began + "77 1 2\n", "one 77"},
		{stat, began + "78 1 2\n", "one 78"}, // a container that began anew
		{id, "two\n", "two 78"},
	} {
		require.NoError(t, h.write(row.file, row.text, 0o600))
		require.Equal(t, row.want, h.boot())
	}
	require.Regexp(t, "^[0-9a-f-]{36} [0-9]+$", New("/", "").boot(), "this machine")
}
