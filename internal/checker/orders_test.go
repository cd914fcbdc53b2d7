package checker

import (
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"keepalived-charm/internal/needs"
	"keepalived-charm/internal/vrrp"
)

// as does something as another user, on a thread of its own.
func as(t *testing.T, uid int, do func() error) error {
	t.Helper()
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
		id := uintptr(uid)
		if _, _, errno := unix.RawSyscall(unix.SYS_SETRESUID, id, id, id); errno != 0 { // of this thread alone
			done <- fmt.Errorf("cannot become user %d: %w", uid, errno)
			return
		}
		done <- do()
	}()
	return <-done
}

const passwd = "root:x:0:0:root:/root:/bin/bash\n" + User + ":x:4242:65534:" + UserComment + ":" + UserHome + ":/usr/sbin/nologin\n"

// TestUserNobodyCanDoNothing to a checker that has a user of its own.
func TestUserNobodyCanDoNothing(t *testing.T) {
	needs.Root(t)
	t.Parallel()
	users := filepath.Join(t.TempDir(), "passwd")
	require.NoError(t, os.WriteFile(users, []byte(passwd), 0o644))
	c := localConfig(t)
	data, err := c.Marshal()
	require.NoError(t, err)
	path := filepath.Join(t.TempDir(), "checker.json")
	require.NoError(t, os.WriteFile(path, data, 0o600))
	p := launch(t, c, exec.Command(needs.Program(t, "unshare"), "--mount", "sh", "-c", "mount --bind $0 /etc/passwd && exec $@", users, program, path))
	p.inNamespace(func() error { return errors.Join(up("br0"), address("br0", "192.0.2.10/24", true)) })
	p.becomes(healthyHolder)
	dir := filepath.Dir(p.config.StatusFile)
	for dir := filepath.Dir(dir); strings.HasPrefix(dir, filepath.Join(os.TempDir(), "Test")); dir = filepath.Dir(dir) {
		require.NoError(t, os.Chmod(dir, 0o755))
	}
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.Process.Pid))
	require.NoError(t, err)
	require.Contains(t, string(status), "Uid:\t4242\t4242\t4242\t4242\n")
	orders := filepath.Join(dir, "orders")
	refused := func(what error, do func() error) {
		t.Helper()
		require.ErrorIs(t, as(t, overflow.uid, do), what)
	}
	for _, s := range []syscall.Signal{0, syscall.SIGHUP, syscall.SIGUSR1, syscall.SIGTERM, syscall.SIGSTOP, syscall.SIGKILL} {
		refused(syscall.EPERM, func() error { return p.Process.Signal(s) })
	}
	for _, file := range []string{p.config.StatusFile, p.config.Instances[0].TrackFile, fmt.Sprintf("/proc/%d/fd", p.Process.Pid), fmt.Sprintf("/proc/%d/mem", p.Process.Pid)} {
		refused(os.ErrPermission, func() error { _, err := os.OpenFile(file, os.O_RDONLY, 0); return err })
	}
	refused(os.ErrPermission, func() error { return Ask(orders, HandOver) })

	// Not even where the directory is open to all, nor is anybody else heard.
	require.NoError(t, os.Chmod(dir, 0o755))
	require.NoError(t, os.Chmod(orders, 0o777))
	for _, uid := range []int{overflow.uid, 4242} {
		require.EqualError(t, as(t, uid, func() error { return Ask(orders, HandOver) }), "the health checker refuses to hand over: only root may give orders")
	}
	refused(os.ErrPermission, func() error { _, err := os.OpenFile(p.config.Instances[0].TrackFile, os.O_WRONLY, 0); return err })
	require.Equal(t, trackText(healthyHolder), p.track(), "nothing moved")

	require.EqualError(t, Ask(orders, "fetch"), `the health checker refuses to fetch: there is no order "fetch"`)
	require.NoError(t, Ask(orders, HandOver))
	require.Equal(t, trackText(vrrp.StepAside), p.track(), "root moves it")
	p.becomes(healthyHolder)
}

// TestWhoSaysNothingIsNotWaitedFor: the next order is heard, and none where nobody listens.
func TestWhoSaysNothingIsNotWaitedFor(t *testing.T) {
	needs.Root(t)
	t.Parallel()
	path := filepath.Join(t.TempDir(), "orders")
	require.NoError(t, os.WriteFile(path, nil, 0o600), "what an earlier checker left")
	o := openOrders(path, log.New(os.Stderr, "", 0))
	require.NotNil(t, o)
	short, release, err := within(path)
	require.NoError(t, err)
	silent, err := net.Dial("unix", short)
	release()
	require.NoError(t, err)
	defer silent.Close()
	require.NoError(t, silent.SetDeadline(time.Now().Add(30*time.Second)))
	_, err = silent.Read(make([]byte, 1))
	require.ErrorIs(t, err, io.EOF)
	require.ErrorContains(t, Ask(path, strings.Repeat("x", 2*mostOrder)), "cannot")
	o.close()
	require.ErrorIs(t, Ask(path, HandOver), syscall.ECONNREFUSED)
}
