package host

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/require"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"keepalived-charm/internal/conflict"
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

// TestAQuestionThatCannotBeAskedMakesNoPeerLost: a packet filter that drops what the machine
// sends to port 9 says nothing about the peer, nor does a kernel that is short of something.
func TestAQuestionThatCannotBeAskedMakesNoPeerLost(t *testing.T) {
	for _, errno := range []syscall.Errno{unix.EPERM, unix.EACCES, unix.ENOBUFS, unix.ENOMEM} {
		t.Run(errno.Error(), func(t *testing.T) {
			forbidWrite(t, errno)
			silent, err := New(t.TempDir(), "").Unreachable([]netip.Addr{netip.MustParseAddr("127.0.0.1")}, nil)
			require.NoError(t, err)
			require.Empty(t, silent)
		})
	}
}

// forbidWrite has write(2) of one byte fail on this thread, which ends with the test.
func forbidWrite(t *testing.T, errno syscall.Errno) {
	t.Helper()
	runtime.LockOSThread()
	require.NoError(t, unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
	const number, length = 0, 32 // where struct seccomp_data has them
	filter := []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: number},
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jf: 3, K: unix.SYS_WRITE},
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: length},
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jf: 1, K: 1},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ERRNO | uint32(errno)},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW},
	}
	program := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	require.NoError(t, unix.Prctl(unix.PR_SET_SECCOMP, unix.SECCOMP_MODE_FILTER, uintptr(unsafe.Pointer(&program)), 0, 0))
}

func TestWhatSaysThatNobodyIsThere(t *testing.T) {
	for errno, want := range map[syscall.Errno]bool{unix.ENETUNREACH: true, unix.EADDRNOTAVAIL: true, unix.EAFNOSUPPORT: true,
		unix.EPERM: false, unix.ENOBUFS: false, unix.EMFILE: false} {
		err := fmt.Errorf("x: %w", &net.OpError{Err: os.NewSyscallError("connect", errno)})
		require.Equal(t, want, noWay(err), "%v", errno)
	}
	peer, other := netip.MustParseAddr("10.10.74.12"), netip.MustParseAddr("10.10.74.13")
	for claim, row := range map[string]struct {
		look conflict.Look
		want bool
	}{
		"nobody answers":                 {conflict.Look{}, false},
		"it answers":                     {conflict.Look{Answers: []conflict.Answer{{Interface: "eth0", Address: peer}}}, true},
		"another address answers":        {conflict.Look{Answers: []conflict.Answer{{Interface: "eth0", Address: other}}}, false},
		"somebody on another segment":    {conflict.Look{Answers: []conflict.Answer{{Interface: "eth1", Address: peer}}}, false},
		"it could not be asked":          {conflict.Look{Faults: []string{"cannot ask by ARP on eth0: x"}}, true},
		"somebody answers for everybody": {conflict.Look{Proxies: []conflict.Proxy{{Interface: "eth0"}}}, true},
	} {
		require.Equal(t, row.want, perhaps(row.look, "eth0", peer), claim)
	}
}
