package checker

import (
	"bytes"
	"encoding/pem"
	"fmt"
	"net"
	"net/http/httptest"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"

	"keepalived-charm/internal/healthcheck"
	"keepalived-charm/internal/needs"
	"keepalived-charm/internal/poll"
	"keepalived-charm/internal/vrrp"
)

const deadByDefault = time.Duration(healthcheck.DefaultDeadAfter)

// process is a checker of its own.
type process struct {
	*exec.Cmd
	t      *testing.T
	config healthcheck.Config
	stderr bytes.Buffer
}

// localConfig is a configuration with its files below a directory of the test.
func localConfig(t *testing.T) healthcheck.Config {
	dir := filepath.Join(t.TempDir(), "run")
	return healthcheck.Config{
		Application: "kc",
		Instances: []healthcheck.Instance{{
			Name: "VI_1", TrackFile: filepath.Join(dir, "VI_1"), Interface: "br0",
			Addresses: []netip.Addr{netip.MustParseAddr("192.0.2.10"), netip.MustParseAddr("192.0.2.11")},
		}},
		StatusFile: filepath.Join(dir, "status.json"),
		Check:      healthcheck.Check{Type: healthcheck.None},
	}
}

// start runs a checker; as root in a network namespace of its own.
func start(t *testing.T, c healthcheck.Config, env ...string) *process {
	t.Helper()
	data, err := c.Marshal()
	require.NoError(t, err)
	path := filepath.Join(t.TempDir(), "checker.json")
	require.NoError(t, os.WriteFile(path, data, 0o600))
	return launch(t, c, exec.Command(program, path), env...)
}

// launch is start with a command line of one's own, which becomes the checker.
func launch(t *testing.T, c healthcheck.Config, command *exec.Cmd, env ...string) *process {
	t.Helper()
	p := &process{Cmd: command, t: t, config: c}
	p.Env = append(os.Environ(), env...)
	p.Stderr = &p.stderr
	if os.Geteuid() == 0 {
		p.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}
	}
	require.NoError(t, p.Start())
	t.Cleanup(func() {
		p.Process.Kill()
		p.Wait()
	})
	return p
}

// track is the text of the instance's track file.
func (p *process) track() string {
	data, _ := os.ReadFile(p.config.Instances[0].TrackFile)
	return string(data)
}

// becomes waits until the track file says value.
func (p *process) becomes(value int) {
	p.t.Helper()
	poll.Until(p.t, func() bool { return p.track() == trackText(value) }, 30*time.Second, time.Millisecond,
		"want %d", value)
}

// inNamespace carries out do within the checker's network namespace.
func (p *process) inNamespace(do func() error) {
	p.t.Helper()
	done := make(chan error)
	go func() {
		// Never unlocked: the thread ends with the goroutine and does not return
		// to others in a foreign namespace.
		runtime.LockOSThread()
		ns, err := netns.GetFromPid(p.Process.Pid)
		if err == nil {
			defer ns.Close()
			err = netns.Set(ns)
		}
		if err == nil {
			err = do()
		}
		done <- err
	}()
	require.NoError(p.t, <-done)
}

// up makes an interface (a bridge without ports, which every kernel has) and
// sets it up.
func up(name string) error {
	link := netlink.Link(&netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: name}})
	if name == "lo" {
		link, _ = netlink.LinkByName(name)
	} else if err := netlink.LinkAdd(link); err != nil {
		return err
	}
	return netlink.LinkSetUp(link)
}

// address adds an address to an interface or removes it.
func address(name, prefix string, present bool) error {
	link, err := netlink.LinkByName(name)
	if err != nil {
		return err
	}
	addr, err := netlink.ParseAddr(prefix)
	if err != nil {
		return err
	}
	if present {
		return netlink.AddrAdd(link, addr)
	}
	return netlink.AddrDel(link, addr)
}

func TestTheHolderIsWhoHasTheFirstAddressOnTheInterface(t *testing.T) {
	needs.Root(t)
	t.Parallel()
	c := localConfig(t)
	c.Instances = append(c.Instances, healthcheck.Instance{
		Name: "VI_2", TrackFile: c.Instances[0].TrackFile + "_6", Interface: "br0",
		Addresses: []netip.Addr{netip.MustParseAddr("2001:db8::10")},
	})
	p := start(t, c)
	p.becomes(healthyStandby)
	change := func(name, prefix string, present bool) {
		p.inNamespace(func() error { return address(name, prefix, present) })
	}
	p.inNamespace(func() error { return up("lo") })
	p.inNamespace(func() error { return up("br0") })
	change("lo", "192.0.2.10/32", true)
	change("br0", "192.0.2.11/32", true)
	time.Sleep(50 * time.Millisecond)
	require.Equal(t, trackText(healthyStandby), p.track(), "another interface, another address")
	change("lo", "192.0.2.10/32", false)

	begun := time.Now()
	change("br0", "192.0.2.10/32", true)
	p.becomes(healthyHolder)
	change("br0", "192.0.2.10/32", false)
	p.becomes(healthyStandby)
	change("br0", "2001:db8::10/128", true)
	poll.Until(t, func() bool {
		data, err := os.ReadFile(c.Instances[1].TrackFile)
		return err == nil && string(data) == trackText(healthyHolder)
	}, 30*time.Second, time.Millisecond)
	// Three changes, one after another, would take three re-reads.
	require.Less(t, time.Since(begun), 2*rereadInterval, "at once, not at the next re-read")
	require.Equal(t, trackText(healthyStandby), p.track(), "each instance for itself")
}

func TestAHolderWhoseServiceDiesStepsAside(t *testing.T) {
	needs.Root(t)
	t.Parallel()
	c := localConfig(t)
	c.Peers = true
	// Without quick retries the third failure comes two minutes after the first.
	c.Check = healthcheck.Check{Type: healthcheck.TCP, Target: "127.0.0.1:80", Interval: 60 * healthcheck.DefaultInterval, Timeout: healthcheck.DefaultTimeout, Fall: 3, Rise: 1}
	p := start(t, c)
	var service net.Listener
	p.inNamespace(func() (err error) {
		if err = up("lo"); err == nil {
			err = up("br0")
		}
		if err == nil {
			err = address("br0", "192.0.2.10/32", true)
		}
		if err == nil {
			service, err = net.Listen("tcp", "127.0.0.1:80")
		}
		return err
	})
	go func() {
		for conn, err := service.Accept(); err == nil; conn, err = service.Accept() {
			conn.Close()
		}
	}()
	p.becomes(healthyHolder)
	service.Close()
	p.becomes(vrrp.StepAside)
	p.inNamespace(func() error { return address("br0", "192.0.2.10/32", false) })
	p.becomes(sickStandby)
	poll.Until(t, func() bool {
		s, err := ReadStatus(c.StatusFile)
		return err == nil && s.Verdict == "sick" && s.StepAsides == 1 && len(s.Holds) == 0 &&
			s.LastError == "cannot connect to 127.0.0.1:80: connection refused"
	}, 30*time.Second, 10*time.Millisecond)
}

func TestAHolderWhoseServiceHangsStepsAsideSoonAfterTheTimeout(t *testing.T) {
	needs.Root(t)
	t.Parallel()
	c := localConfig(t)
	c.Peers = true
	c.Check = healthcheck.Check{Type: healthcheck.TCP, Target: "127.0.0.1:80", Interval: 60 * healthcheck.DefaultInterval, Timeout: healthcheck.DefaultTimeout, Fall: 3, Rise: 1}
	p := start(t, c)
	var service net.Listener
	p.inNamespace(func() (err error) {
		if err = up("lo"); err == nil {
			err = up("br0")
		}
		if err == nil {
			err = address("br0", "192.0.2.10/32", true)
		}
		if err == nil {
			service, err = net.Listen("tcp", "127.0.0.1:80")
		}
		return err
	})
	defer service.Close()
	hangs := make(chan struct{})
	go func() {
		for conn, err := service.Accept(); err == nil; conn, err = service.Accept() {
			conn.Close()
			select {
			case <-hangs:
				return
			default:
			}
		}
	}()
	p.becomes(healthyHolder)
	close(hangs)
	begun := time.Now()
	p.inNamespace(func() error {
		// Clients go on to come. The next ordinary check is a minute away.
		for time.Since(begun) < 30*time.Second && p.track() != trackText(vrrp.StepAside) {
			conn, err := net.DialTimeout("tcp", "127.0.0.1:80", time.Second)
			if err != nil {
				return err
			}
			defer conn.Close()
			time.Sleep(10 * time.Millisecond)
		}
		return nil
	})
	t.Logf("stepped aside after %v", time.Since(begun).Round(time.Millisecond))
	require.Greater(t, time.Since(begun), time.Second, "it may have been a pause")
	require.Equal(t, trackText(vrrp.StepAside), p.track(), "sooner than the next ordinary check")
}

// TestAServiceOnTheVirtualIPOnly: without privileges, and without the address.
func TestAServiceOnTheVirtualIPOnly(t *testing.T) {
	needs.Root(t)
	t.Parallel()
	c := localConfig(t)
	// Only what the kernel tells of the listener is in time.
	c.Check = healthcheck.Check{Type: healthcheck.HTTP, Target: "localhost:80", Interval: 3600 * healthcheck.DefaultInterval, Timeout: healthcheck.DefaultTimeout, Fall: 3, Rise: 1}
	p := start(t, c)
	var service net.Listener
	p.inNamespace(func() (err error) {
		if err = up("lo"); err == nil {
			err = os.WriteFile("/proc/sys/net/ipv4/ip_nonlocal_bind", []byte("1"), 0o644)
		}
		if err == nil {
			service, err = net.Listen("tcp", "192.0.2.11:80")
		}
		return err
	})
	defer service.Close()
	poll.Until(t, func() bool {
		s, err := ReadStatus(c.StatusFile)
		return err == nil && s.Verdict == "healthy" && s.LastError == ""
	}, 30*time.Second, 10*time.Millisecond)
	time.Sleep(10 * hintInterval) // it was seen to listen: who comes and goes in between is missed
	service.Close()
	p.becomes(sickStandby)
}

// TestAHangingServiceGetsItsVerdictInOneLife: systemd sees a sign of life all along, and the
// verdict comes sooner than one check after the other would bring it. The second and the third
// are timeouts of 20 and 60 intervals, with fall 10 and 3.
func TestAHangingServiceGetsItsVerdictInOneLife(t *testing.T) {
	needs.Root(t)
	const interval = 100 * time.Millisecond
	for claim, row := range map[string]struct {
		interval, timeout time.Duration
		fall              int
	}{
		"fall=20":                     {time.Second, 300 * time.Millisecond, 20},
		"timeout=20*interval fall=10": {interval, 20 * interval, 10},
		"timeout=60*interval fall=3":  {interval, 60 * interval, 3},
	} {
		t.Run(claim, func(t *testing.T) {
			t.Parallel()
			at, told := notified(t)
			c := localConfig(t)
			c.Check = healthcheck.Check{Type: healthcheck.HTTP, Target: "127.0.0.1:80", Interval: healthcheck.Duration(row.interval), Timeout: healthcheck.Duration(row.timeout), Fall: row.fall, Rise: 1}
			p := start(t, c, "NOTIFY_SOCKET="+at, "WATCHDOG_USEC=200000")
			var service net.Listener
			p.inNamespace(func() (err error) {
				if err = up("lo"); err == nil {
					service, err = net.Listen("tcp", "127.0.0.1:80")
				}
				return err
			})
			defer service.Close()
			// It takes connections: where it does not, fewer checks are enough.
			go func() {
				for conn, err := service.Accept(); err == nil; conn, err = service.Accept() {
					defer conn.Close()
				}
			}()
			began, alive := time.Now(), 0
			for {
				if said := told(); said == "WATCHDOG=1" {
					alive++
				}
				s, err := ReadStatus(c.StatusFile)
				if err == nil && s.Verdict == "sick" && s.LastError == "cannot get http://127.0.0.1:80/: timed out" {
					require.GreaterOrEqual(t, s.Checks, uint64(row.fall))
					break
				}
			}
			require.Greater(t, alive, 5)
			if oneByOne := time.Duration(row.fall) * row.timeout; sickWithin(c.Check) < oneByOne/2 {
				require.Less(t, time.Since(began), oneByOne)
			}
		})
	}
}

func TestRootIsGivenUpForGood(t *testing.T) {
	needs.Root(t)
	t.Parallel()
	p := start(t, localConfig(t))
	p.becomes(healthyStandby)
	id := unprivilegedIdentity()
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", p.Process.Pid))
	require.NoError(t, err)
	require.NotEmpty(t, threads)
	for _, path := range threads {
		data, err := os.ReadFile(path)
		if err != nil {
			continue // the thread has ended
		}
		text := strings.ReplaceAll(string(data), "\t", " ")
		require.Contains(t, text, fmt.Sprintf("Uid: %[1]d %[1]d %[1]d %[1]d\n", id.uid))
		require.Contains(t, text, fmt.Sprintf("Gid: %[1]d %[1]d %[1]d %[1]d\n", id.gid))
		require.Contains(t, text, "NoNewPrivs: 1\n")
		for _, set := range []string{"CapInh", "CapPrm", "CapEff", "CapAmb"} {
			require.Contains(t, text, set+": 0000000000000000\n")
		}
		require.Regexp(t, `(?m)^Groups: *$`, text)
	}
	info, err := os.Stat(filepath.Dir(p.config.StatusFile))
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o700), info.Mode().Perm())
	require.Zero(t, info.Sys().(*syscall.Stat_t).Uid, "nobody else reaches the files as that user")
	require.NoError(t, os.WriteFile(p.config.Instances[0].TrackFile, []byte("1234567\n"), 0o600))
	poll.Until(t, func() bool { return p.track() == trackText(healthyStandby) }, 30*time.Second, 10*time.Millisecond,
		"a foreign hand is put right, without root")
}

// notified is a socket for what a checker tells systemd, and what it told next.
func notified(t *testing.T) (at string, told func() string) {
	at = filepath.Join(t.TempDir(), "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: at, Net: "unixgram"})
	require.NoError(t, err)
	t.Cleanup(func() { conn.Close() })
	// The checker is another user by the time it writes.
	require.NoError(t, os.Chmod(at, 0o777))
	for dir := filepath.Dir(at); strings.HasPrefix(dir, filepath.Join(os.TempDir(), "Test")); dir = filepath.Dir(dir) {
		require.NoError(t, os.Chmod(dir, 0o755))
	}
	buf := make([]byte, 4096)
	return at, func() string {
		require.NoError(t, conn.SetReadDeadline(time.Now().Add(10*time.Second)))
		n, err := conn.Read(buf)
		require.NoError(t, err)
		return string(buf[:n])
	}
}

func TestSystemdIsToldAndSIGTERMLeavesTheFile(t *testing.T) {
	t.Parallel()
	at, tell := notified(t)
	p := start(t, localConfig(t), "NOTIFY_SOCKET="+at, "WATCHDOG_USEC=100000")
	var told []string
	for len(told) < 5 {
		told = append(told, tell())
	}
	require.Equal(t, "STATUS=none, healthy, standby", told[0])
	require.Equal(t, []string{"WATCHDOG=1", "READY=1", "WATCHDOG=1", "WATCHDOG=1"}, told[1:])

	require.NoError(t, p.Process.Signal(syscall.SIGTERM))
	require.NoError(t, p.Wait())
	require.Empty(t, p.stderr.String())
	require.Equal(t, trackText(healthyStandby), p.track())
}

// TestACheckerThatCannotStartTriesEverMoreRarely: systemd would start it ten times a second,
// and write as many lines.
func TestACheckerThatCannotStartTriesEverMoreRarely(t *testing.T) {
	t.Parallel()
	at, tell := notified(t)
	c := localConfig(t)
	ca := filepath.Join(t.TempDir(), "ca.pem")
	c.Check = healthcheck.Check{Type: healthcheck.HTTPS, Target: "127.0.0.1:9", CA: ca, Interval: healthcheck.DefaultInterval, Timeout: healthcheck.DefaultTimeout, Fall: 1, Rise: 2}
	p := start(t, c, "NOTIFY_SOCKET="+at, "WATCHDOG_USEC=2000000")
	told := []string{tell()}
	require.Equal(t, "STATUS=cannot start: cannot read check CA: open "+ca+": no such file or directory", told[0])
	open := func() int {
		list, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", p.Process.Pid))
		require.NoError(t, err)
		return len(list)
	}
	time.Sleep(time.Second) // the first attempts also open what the runtime keeps
	before := open()
	for told[len(told)-1] != "READY=1" { // who starts it waits no longer
		told = append(told, tell())
	}
	require.Contains(t, told, "WATCHDOG=1")
	// What is open in the middle of an attempt, or of telling systemd, closes again.
	poll.Until(t, func() bool { return open() <= before }, 10*time.Second, 5*time.Millisecond, "an attempt leaves nothing open")
	server := httptest.NewTLSServer(nil)
	server.Close()
	require.NoError(t, os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}), 0o600))
	p.becomes(sickStandby)
	require.NoError(t, p.Process.Signal(syscall.SIGTERM))
	require.NoError(t, p.Wait())
	require.Equal(t, 1, strings.Count(p.stderr.String(), "cannot start"), "it says why once: %s", p.stderr.String())
}

func TestWhoStartsItCanAskForTheVerdict(t *testing.T) {
	needs.Root(t)
	t.Parallel()
	at, told := notified(t)
	c := localConfig(t)
	c.Check = healthcheck.Check{Type: healthcheck.TCP, Target: "localhost:9", Interval: healthcheck.DefaultInterval, Timeout: healthcheck.DefaultTimeout, Fall: 3, Rise: 2}
	start(t, c, "NOTIFY_SOCKET="+at)
	for told() != "READY=1" {
	}
	s, err := ReadStatus(c.StatusFile)
	require.NoError(t, err)
	require.Equal(t, "sick", s.Verdict)
}

func TestACheckerWhoseFileWasReplacedEnds(t *testing.T) {
	t.Parallel()
	c := localConfig(t)
	p := start(t, c)
	p.becomes(healthyStandby)
	require.NoError(t, os.Remove(c.Instances[0].TrackFile))
	require.ErrorContains(t, p.Wait(), "exit status 1")
	require.Equal(t, "cannot go on: "+c.Instances[0].TrackFile+" was removed or replaced\n", p.stderr.String())
}

func TestABadConfigurationIsOneSentence(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "checker.json")
	require.NoError(t, os.WriteFile(path, []byte("{}"), 0o600))
	for _, c := range []struct{ path, said string }{
		{path + ".not", "cannot read checker configuration: open " + path + ".not: no such file or directory\n"},
		{path, "cannot use checker configuration " + path + `: application "" is not a plain name` + "\n"},
	} {
		out, err := exec.Command(program, c.path).CombinedOutput()
		require.ErrorContains(t, err, "exit status 1")
		require.Equal(t, c.said, string(out))
	}
}

// booting is a checker's configuration whose machine has booted since the last
// hook; the virtual IP is one that a machine with a loopback device refuses.
func booting(t *testing.T) healthcheck.Config {
	c := localConfig(t)
	c.Instances[0].Watch = "127.0.0.2:1"
	c.Booted = filepath.Join(t.TempDir(), "booted")
	require.NoError(t, os.WriteFile(c.Booted, nil, 0o600))
	return c
}

func TestAfterABootAUnitStandsAsideWhileOthersServe(t *testing.T) {
	needs.Root(t)
	t.Parallel()
	p := start(t, booting(t))
	p.becomes(vrrp.StepAside)
	p.inNamespace(func() error { return up("lo") })
	time.Sleep(deadByDefault + 500*time.Millisecond)
	require.Equal(t, trackText(vrrp.StepAside), p.track(), "somebody answers")
	require.NoError(t, os.Remove(p.config.Booted))
	require.NoError(t, p.Process.Signal(syscall.SIGTERM))
	require.NoError(t, p.Wait())
	start(t, p.config).becomes(healthyStandby)
}

func TestAfterABootAUnitTakesPartWhenNobodyServes(t *testing.T) {
	needs.Root(t)
	t.Parallel()
	begun := time.Now()
	p := start(t, booting(t))
	p.becomes(vrrp.StepAside)
	p.becomes(healthyStandby)
	require.GreaterOrEqual(t, time.Since(begun), deadByDefault)
}
