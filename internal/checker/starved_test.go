package checker

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"keepalived-charm/internal/healthcheck"
	"keepalived-charm/internal/needs"
	"keepalived-charm/internal/poll"
	"keepalived-charm/internal/vrrp"
)

// controlGroups are two that share the processors, one with a hundred times the weight of
// the other, and make a place in which the kernel counts what a daemon uses.
type controlGroups struct {
	busy, starved string
	place         func(name string) string
}

// newControlGroups makes them with whichever version of control groups the machine has
// (cgroups(7)); together they count as one beside all else on the machine.
func newControlGroups(t *testing.T) controlGroups {
	name := fmt.Sprintf("checker-test-%d", os.Getpid())
	made := func(elements ...string) string {
		dir := filepath.Join(elements...)
		require.NoError(t, os.MkdirAll(dir, 0o755))
		t.Cleanup(func() {
			poll.Until(t, func() bool { return syscall.Rmdir(dir) == nil }, 10*time.Second, 10*time.Millisecond, dir)
		})
		return dir
	}
	set := func(value string, elements ...string) {
		require.NoError(t, os.WriteFile(filepath.Join(elements...), []byte(value), 0o644))
	}
	const root = "/sys/fs/cgroup"
	if _, err := os.Stat(root + "/cpu"); err == nil {
		parent := made(root, "cpu", name)
		g := controlGroups{busy: made(parent, "busy"), starved: made(parent, "starved")}
		set("102400", g.busy, "cpu.shares")
		set("1024", g.starved, "cpu.shares")
		parent = made(root, "unified", name)
		g.place = func(n string) string { return made(parent, n) }
		return g
	}
	set("+cpu", root, "cgroup.subtree_control")
	parent := made(root, name)
	set("+cpu", parent, "cgroup.subtree_control")
	g := controlGroups{busy: made(parent, "busy"), starved: made(parent, "starved")}
	set("10000", g.busy, "cpu.weight")
	set("100", g.starved, "cpu.weight")
	g.place = func(n string) string { return made(g.starved, n) }
	return g
}

// ids are the processes in a control group.
func ids(t *testing.T, group string) []int {
	text, err := os.ReadFile(filepath.Join(group, "cgroup.procs"))
	require.NoError(t, err)
	var list []int
	for _, word := range strings.Fields(string(text)) {
		id, err := strconv.Atoi(word)
		require.NoError(t, err)
		list = append(list, id)
	}
	return list
}

// signalled sends a signal to all processes in a control group.
func signalled(t *testing.T, group string, s syscall.Signal) {
	for _, id := range ids(t, group) {
		_ = syscall.Kill(id, s) // it may have ended
	}
}

// beside starts keepalived in a network of its own, and becomes a checker that finds it
// where systemd would have it: its configuration, that of the checker, keepalived's place,
// the starved group, a directory and the programs.
const beside = `set -e
echo $$ >"$4/cgroup.procs"
ip link set lo up
ip link add eth0 type veth peer name eth1
ip link set eth1 up
ip link set eth0 up
ip address add 192.0.2.1/24 dev eth0
sh -ec 'echo $$ >"$2/cgroup.procs"; "$3" --dont-fork --vrrp --log-console --use-file "$0" --pid "$1/pid" --vrrp_pid "$1/vrrp" >"$1/log" 2>&1 &' "$1" "$5" "$3" "$6"
mkdir "$5/place"
mount --bind "$3" "$5/place"
mount -t tmpfs none /sys/fs/cgroup
mkdir -p /sys/fs/cgroup/system.slice/keepalived.service
mount --move "$5/place" /sys/fs/cgroup/system.slice/keepalived.service
exec "$7" "$2"`

// besideKeepalived starts a checker beside a real keepalived that holds with an interval.
func besideKeepalived(t *testing.T, groups controlGroups, interval time.Duration) (p *process, place string) {
	t.Helper()
	c := localConfig(t)
	c.AdvertInterval = healthcheck.Duration(interval)
	c.Instances[0].Interface, c.Instances[0].Addresses = "eth0", c.Instances[0].Addresses[:1]
	track := c.Instances[0].TrackFile
	require.NoError(t, os.MkdirAll(filepath.Dir(track), 0o700))
	require.NoError(t, os.WriteFile(track, []byte(trackText(healthyStandby)), 0o600))
	data, err := c.Marshal()
	require.NoError(t, err)
	dir := t.TempDir()
	files := map[string]string{"checker.json": string(data), "keepalived.conf": fmt.Sprintf(`track_file VI_1 {
    file "%s"
    weight 1
}
vrrp_instance VI_1 {
    interface eth0
    state BACKUP
    version 3
    virtual_router_id 51
    priority 40
    advert_int %v
    virtual_ipaddress {
        192.0.2.10/32
    }
    track_file {
        VI_1
    }
}
`, track, interval.Seconds())}
	for name, text := range files {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	}
	place = groups.place(interval.String())
	t.Cleanup(func() { signalled(t, place, syscall.SIGKILL) }) // also of a keepalived whose checker does not start
	p = launch(t, c, exec.Command(needs.Program(t, "unshare"), "--mount", "--net", "sh", "-c", beside, "sh",
		filepath.Join(dir, "keepalived.conf"), filepath.Join(dir, "checker.json"), place, groups.starved, dir, needs.Program(t, "keepalived"), program))
	t.Cleanup(func() {
		if t.Failed() {
			said, _ := os.ReadFile(filepath.Join(dir, "log")) // it may have said nothing
			t.Log(string(said), p.stderr.String())
		}
	})
	return p, place
}

// delay is how long processes have waited for a processor, all together (the kernel's
// documentation, scheduler/sched-stats).
func delay(t *testing.T, place string) (sum time.Duration) {
	for _, id := range ids(t, place) {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/schedstat", id))
		require.NoError(t, err)
		ns, err := strconv.ParseInt(strings.Fields(string(text))[1], 10, 64)
		require.NoError(t, err)
		sum += time.Duration(ns)
	}
	return sum
}

// TestOnlyAStoppedKeepalivedIsStuck: not one that gets a processor late, with all of them
// busy at a hundred times its weight and the checker's for STARVED, 3 s unless it is set; one
// that is stopped is, at whatever interval.
func TestOnlyAStoppedKeepalivedIsStuck(t *testing.T) {
	needs.Time(t) // of all other tests too: it takes the processors
	needs.Root(t)
	span := 3 * time.Second
	if text := os.Getenv("STARVED"); text != "" {
		var err error
		span, err = time.ParseDuration(text)
		require.NoError(t, err)
	}
	groups := newControlGroups(t)
	t.Cleanup(func() { signalled(t, groups.busy, syscall.SIGKILL) })
	burning := func() {
		for range runtime.NumCPU() {
			burner := exec.Command("sh", "-c", `echo $$ >"$0/cgroup.procs"; while :; do :; done`, groups.busy)
			require.NoError(t, burner.Start())
			t.Cleanup(func() {
				burner.Process.Kill()
				burner.Wait()
			})
		}
	}
	type pair struct {
		*process
		place string
		ended chan error
		waits time.Duration
	}
	pairs := map[time.Duration]*pair{}
	for _, interval := range []time.Duration{50 * time.Millisecond, 200 * time.Millisecond, time.Second} {
		p, place := besideKeepalived(t, groups, interval)
		pairs[interval] = &pair{process: p, place: place, ended: make(chan error, 1)}
	}
	for _, p := range pairs {
		p.becomes(vrrp.HealthyWeight + vrrp.HolderWeight)
		p.waits = delay(t, p.place)
		go func() { p.ended <- p.Wait() }()
	}
	burning()
	for end := time.Now().Add(span); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		for interval, p := range pairs {
			require.Empty(t, p.ended, "interval %v: %s", interval, &p.stderr)
		}
	}
	for interval, p := range pairs {
		t.Logf("interval %v: waited %v for a processor within %v", interval, delay(t, p.place)-p.waits, span)
	}
	signalled(t, groups.busy, syscall.SIGKILL)
	stopped := time.Now()
	for _, p := range pairs {
		signalled(t, p.place, syscall.SIGSTOP)
	}
	for interval, p := range pairs {
		select {
		case <-p.ended:
		case <-time.After(2 * time.Minute):
			require.Fail(t, "one that is stopped is not found", "interval %v", interval)
		}
		require.Contains(t, p.stderr.String(), ErrStuck.Error(), "interval %v", interval)
	}
	t.Logf("found within %v after they were stopped", time.Since(stopped))
}
