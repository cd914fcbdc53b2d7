package host

import (
	"net/netip"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/vishvananda/netlink"
)

func TestWhatCannotBeRememberedKeepsNothingFromHappening(t *testing.T) {
	for claim, inTheWay := range map[string]string{
		"a file that cannot be read":            filepath.Join(silentFile, "x"),
		"a directory that cannot be written in": filepath.Dir(silentFile),
	} {
		t.Run(claim, func(t *testing.T) {
			h := New(t.TempDir(), "")
			require.NoError(t, h.write(inTheWay, "", 0o600))
			silent, err := h.Unreachable(nil, nil)
			require.NoError(t, err)
			require.Empty(t, silent)
			h.rememberSilent([]netip.Addr{netip.MustParseAddr("10.10.74.12")})
			still, err := h.stillSilent()
			require.NoError(t, err)
			require.Empty(t, still)
		})
	}
}

func TestPeersThatAnswerNothing(t *testing.T) {
	one, two := netip.MustParseAddr("10.10.74.12"), netip.MustParseAddr("10.10.74.13")
	type states [2]int
	for _, row := range []struct {
		claim   string
		seen    []states
		silent  []netip.Addr
		pending bool
	}{
		{"who answered is not silent", []states{{netlink.NUD_PROBE, netlink.NUD_INCOMPLETE}, {netlink.NUD_REACHABLE, netlink.NUD_REACHABLE}}, nil, false},
		{"both are silent once the kernel gave up", []states{{netlink.NUD_FAILED, netlink.NUD_FAILED}}, []netip.Addr{one, two}, false},
		{"who was given up stays silent while an advertisement has the kernel ask again",
			[]states{{netlink.NUD_FAILED, netlink.NUD_INCOMPLETE}, {netlink.NUD_INCOMPLETE, netlink.NUD_FAILED}}, []netip.Addr{one, two}, false},
		{"who answers after all is not silent", []states{{netlink.NUD_FAILED, netlink.NUD_FAILED}, {netlink.NUD_REACHABLE, netlink.NUD_INCOMPLETE}},
			[]netip.Addr{two}, false},
		{"while the kernel asks an answer may come", []states{{netlink.NUD_INCOMPLETE, netlink.NUD_REACHABLE}}, []netip.Addr{one}, true},
		{"an address the kernel did not ask for tells nothing", []states{{netlink.NUD_NONE, netlink.NUD_STALE}}, nil, false},
	} {
		t.Run(row.claim, func(t *testing.T) {
			failed := map[netip.Addr]bool{}
			var silent []netip.Addr
			var pending bool
			for _, s := range row.seen {
				silent, pending = unanswered([]netip.Addr{one, two}, map[netip.Addr]netlink.Neigh{
					one: {State: s[0]}, two: {State: s[1]}}, failed)
			}
			require.Equal(t, row.silent, silent)
			require.Equal(t, row.pending, pending)
		})
	}
}
