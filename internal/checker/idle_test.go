package checker

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"keepalived-charm/internal/healthcheck"
	"keepalived-charm/internal/needs"
	"keepalived-charm/internal/poll"
	"keepalived-charm/internal/vrrp"
)

// apart starts keepalived and, in a network of its own at the other end of a cable, the one
// that holds if there is one ("$1/peer.conf"), and becomes the checker. Its arguments are a
// directory, the configuration of the checker, keepalived's program and the checker's.
const apart = `set -e
ip link set lo up
ip link add eth0 type veth peer name eth1
ip link set eth0 up
ip address add 192.0.2.1/24 dev eth0
keepalived() { sh -c 'echo $$ >"$0/$1.pid"; exec "$2" --dont-fork --vrrp --log-console --use-file "$0/$1.conf" --pid "$0/$1.main" --vrrp_pid "$0/$1.vrrp" >"$0/$1.log" 2>&1' "$1" "$2" "$3"; }
if [ -e "$1/peer.conf" ]; then
	unshare --net sh -ec 'echo $$ >"$1/network.tmp"; mv "$1/network.tmp" "$1/network"
		until [ -e "$1/moved" ]; do sleep 0.05; done
		ip link set lo up; ip link set eth1 up; ip address add 192.0.2.2/24 dev eth1
		echo $$ >"$1/peer.pid"; exec "$2" --dont-fork --vrrp --log-console --use-file "$1/peer.conf" --pid "$1/peer.main" --vrrp_pid "$1/peer.vrrp" >"$1/peer.log" 2>&1' sh "$1" "$3" &
	until [ -e "$1/network" ]; do sleep 0.05; done
	ip link set eth1 netns "$(cat "$1/network")"
	: >"$1/moved"
else
	ip link set eth1 up
fi
keepalived "$1" own "$3" &
exec "$4" "$2"`

// idleRow is a deployment whose agent has nothing to do.
type idleRow struct {
	claim string
	// routers are virtual routers, each with a number of virtual IPs.
	routers, addresses int
	// heard tells that another machine holds.
	heard bool
}

// conf is keepalived's configuration.
func (r idleRow) conf(c healthcheck.Config, priority int, tracked bool) string {
	var text strings.Builder
	for _, i := range c.Instances {
		if tracked {
			fmt.Fprintf(&text, "track_file %s {\n file %q\n weight 1\n}\n", i.Name, i.TrackFile)
		}
		fmt.Fprintf(&text, "vrrp_instance %s {\n interface eth0\n state BACKUP\n version 3\n virtual_router_id %d\n priority %d\n advert_int 0.2\n virtual_ipaddress {\n %s/32\n }\n",
			i.Name, i.VirtualRouterID, priority, i.Addresses[0])
		for n, a := range i.Addresses[1:] {
			if n == 0 {
				text.WriteString(" virtual_ipaddress_excluded {\n")
			}
			fmt.Fprintf(&text, "  %s/32\n", a)
			if n == len(i.Addresses)-2 {
				text.WriteString(" }\n")
			}
		}
		if tracked {
			fmt.Fprintf(&text, " track_file {\n  %s\n }\n", i.Name)
		}
		text.WriteString("}\n")
	}
	if !tracked {
		return strings.ReplaceAll(text.String(), "eth0", "eth1")
	}
	return text.String()
}

// start starts it, and a service that answers.
func (r idleRow) start(t *testing.T) (p *process, keepalived []int) {
	c := localConfig(t)
	dir := t.TempDir()
	c.Check = healthcheck.Check{Type: healthcheck.TCP, Target: "localhost:80", Interval: healthcheck.DefaultInterval, Timeout: healthcheck.DefaultTimeout, Fall: 3, Rise: 2}
	c.Peers, c.AdvertInterval, c.Links = true, healthcheck.Duration(200*time.Millisecond), []string{"eth0"}
	c.History, c.News = filepath.Join(dir, "history"), filepath.Join(dir, "news")
	track, address := c.Instances[0].TrackFile, netip.MustParseAddr("10.9.0.1")
	c.Instances = nil
	require.NoError(t, os.MkdirAll(filepath.Dir(track), 0o700))
	for n := range r.routers {
		i := healthcheck.Instance{Name: fmt.Sprintf("VI_%d", n+1), TrackFile: fmt.Sprintf("%s-%d", track, n), VirtualRouterID: vrrp.VirtualRouterID(n + 1), Version: 3, Interface: "eth0"}
		for range r.addresses {
			i.Addresses = append(i.Addresses, address)
			address = address.Next()
		}
		require.NoError(t, os.WriteFile(i.TrackFile, []byte(trackText(healthyStandby)), 0o600))
		c.Instances = append(c.Instances, i)
	}
	data, err := c.Marshal()
	require.NoError(t, err)
	files := map[string]string{"checker.json": string(data), "own.conf": r.conf(c, 40, true)}
	if r.heard {
		files["peer.conf"] = r.conf(c, 250, false)
	}
	for name, text := range files {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	}
	systemd, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: filepath.Join(dir, "notify"), Net: "unixgram"})
	require.NoError(t, err)
	t.Cleanup(func() { systemd.Close() })
	require.NoError(t, os.Chmod(dir, 0o755))
	require.NoError(t, os.Chmod(filepath.Dir(dir), 0o755))
	require.NoError(t, os.Chmod(filepath.Join(dir, "notify"), 0o777))
	go func() {
		for b := make([]byte, 4096); ; {
			if _, err := systemd.Read(b); err != nil {
				return
			}
		}
	}()
	p = launch(t, c, exec.Command(needs.Program(t, "sh"), "-c", apart, "sh", dir, filepath.Join(dir, "checker.json"), needs.Program(t, "keepalived"), program),
		"NOTIFY_SOCKET="+filepath.Join(dir, "notify"), "WATCHDOG_USEC=2000000")
	t.Cleanup(func() {
		for _, name := range []string{"own", "peer"} {
			for _, id := range family(filepath.Join(dir, name+".pid")) {
				if own, err := os.FindProcess(id); err == nil {
					own.Kill()
				}
			}
		}
	})
	var service net.Listener
	poll.Until(t, func() bool {
		p.inNamespace(func() (err error) { service, err = net.Listen("tcp", "127.0.0.1:80"); return err })
		return service != nil
	}, 10*time.Second, 10*time.Millisecond)
	t.Cleanup(func() { service.Close() })
	go func() {
		for conn, err := service.Accept(); err == nil; conn, err = service.Accept() {
			conn.Close()
		}
	}()
	want := healthyHolder
	if r.heard {
		want = healthyStandby
	}
	poll.Until(t, func() bool {
		s, err := ReadStatus(c.StatusFile)
		return err == nil && s.Verdict == "healthy" && len(s.Holds) == map[bool]int{false: r.routers}[r.heard] && (!r.heard || len(s.Heard) > 0)
	}, 60*time.Second, 10*time.Millisecond)
	p.becomes(want)
	time.Sleep(settleMove + 2*time.Second) // moves are told
	return p, family(filepath.Join(dir, "own.pid"))
}

// family are the process that a file names and its children.
func family(file string) (ids []int) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil
	}
	first := strings.TrimSpace(string(text))
	children, _ := os.ReadFile("/proc/" + first + "/task/" + first + "/children")
	for _, word := range append([]string{first}, strings.Fields(string(children))...) {
		if id, err := strconv.Atoi(word); err == nil {
			ids = append(ids, id)
		}
	}
	return ids
}

// usage is what processes have used so far.
type usage struct {
	cpu    time.Duration
	sleeps int // voluntary context switches: each is a wake-up
	pss    int // KiB now
	open   int // descriptors now
}

// used reads it (proc(5)).
func used(t *testing.T, ids ...int) (u usage) {
	for _, id := range ids {
		dir := fmt.Sprintf("/proc/%d", id)
		threads, err := filepath.Glob(dir + "/task/*")
		require.NoError(t, err)
		for _, thread := range threads {
			text, err := os.ReadFile(thread + "/schedstat")
			require.NoError(t, err)
			ns, err := strconv.ParseInt(strings.Fields(string(text))[0], 10, 64)
			require.NoError(t, err)
			u.cpu += time.Duration(ns)
			u.sleeps += number(t, thread+"/status", "voluntary_ctxt_switches:")
		}
		u.pss += number(t, dir+"/smaps_rollup", "Pss:")
		open, err := os.ReadDir(dir + "/fd")
		require.NoError(t, err)
		u.open += len(open)
	}
	return u
}

// number is the one behind a word at the beginning of a line.
func number(t *testing.T, file, word string) int {
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	for line := range strings.Lines(string(text)) {
		if fields := strings.Fields(line); len(fields) > 1 && fields[0] == word {
			n, err := strconv.Atoi(fields[1])
			require.NoError(t, err)
			return n
		}
	}
	require.Fail(t, "no "+word+" in "+file)
	return 0
}

// mostSleeps is how often a second a health checker may go to sleep at the defaults, which is
// how often it wakes up.
const mostSleeps = 29

// TestAnIdleHealthCheckerSeldomWakesUp, beside a real keepalived and a service that answers.
// With IDLE it measures for so long, larger deployments too, for docs/reference/cost.md.
func TestAnIdleHealthCheckerSeldomWakesUp(t *testing.T) {
	needs.Root(t)
	needs.Time(t)
	t.Parallel()
	rows := []idleRow{
		{"1 virtual IP, held", 1, 1, false},
		{"1 virtual IP, standby", 1, 1, true},
	}
	span := time.Second
	if text := os.Getenv("IDLE"); text != "" {
		var err error
		span, err = time.ParseDuration(text)
		require.NoError(t, err)
		rows = append(rows,
			idleRow{"64 virtual IPs, held", 1, 64, false},
			idleRow{"500 virtual IPs, held", 1, 500, false},
			idleRow{"64 virtual IPs with `spread=true`, all held", 64, 1, false},
			idleRow{"50 virtual IPs with `spread=true`, standby: 250 packets a second heard", 50, 1, true})
	}
	for n, row := range rows {
		t.Run(row.claim, func(t *testing.T) {
			p, keepalived := row.start(t)
			require.NotEmpty(t, keepalived)
			least := 1e9 // of three: a busy machine has it sleep more often, never less
			for range 2 {
				before := used(t, p.Process.Pid)
				time.Sleep(time.Second)
				least = min(least, float64(used(t, p.Process.Pid).sleeps-before.sleeps))
			}
			began := time.Now()
			before, beside := used(t, p.Process.Pid), used(t, keepalived...)
			time.Sleep(span)
			now, then := used(t, p.Process.Pid), used(t, keepalived...)
			seconds := time.Since(began).Seconds()
			sleeps := float64(now.sleeps-before.sleeps) / seconds
			if n < 2 {
				require.Less(t, min(least, sleeps), float64(mostSleeps))
			}
			cpu := func(after, before usage) float64 { return 1000 * (after.cpu - before.cpu).Seconds() / seconds }
			t.Logf("| %s | %.1f | %.1f | %.1f | %.0f | %d | %.0f | %.0f |", row.claim, cpu(now, before), cpu(then, beside),
				cpu(now, before)/cpu(then, beside), float64(now.pss)/1024, now.open, sleeps, float64(then.sleeps-beside.sleeps)/seconds)
		})
	}
}
