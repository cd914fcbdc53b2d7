package checker

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"keepalived-charm/internal/healthcheck"
	"keepalived-charm/internal/needs"
	"keepalived-charm/internal/poll"
)

// three starts three units at a switch, each in a network and a control group of its own: a
// service, keepalived and, which it becomes, the health checker. Its arguments are a directory with
// one for each unit, one of control groups likewise, keepalived's program, the checker's and that of
// the service.
const three = `set -e
ip link set lo up
ip link add br0 type bridge
ip link set br0 up
ip address add 192.0.2.100/24 dev br0
for n in 1 2 3; do
	unshare --net sh -ec 'echo $$ >"$2/cgroup.procs"
		echo $$ >"$1/pid.tmp"; mv "$1/pid.tmp" "$1/pid"
		until [ -e "$1/plugged" ]; do sleep 0.05; done
		ip link set lo up; ip link set eth0 up; ip address add "192.0.2.$0/24" dev eth0
		CHECKER_TEST_LISTEN=0.0.0.0:80 "$5" -test.run=^TestMain$ >/dev/null &
		"$3" --dont-fork --vrrp --log-console --use-file "$1/keepalived.conf" --pid "$1/main" --vrrp_pid "$1/vrrp" >"$1/log" 2>&1 &
		exec "$4" "$1/checker.json"' $n "$1/$n" "$2/$n" "$3" "$4" "$5" &
	until [ -e "$1/$n/pid" ]; do sleep 0.05; done
	ip link add "port$n" type veth peer name eth0 netns "$(cat "$1/$n/pid")"
	ip link set "port$n" master br0 up
	: >"$1/$n/plugged"
done
wait`

// trio are three units with one virtual IP.
type trio struct {
	*process
	t      *testing.T
	groups string
	mu     sync.Mutex
	came   []int        // units that it came to, in this order
	has    map[int]bool // units that have it now
	gap    time.Duration
	good   time.Time // when a client was answered last
}

const trioVIP = "192.0.2.10"

// newTrio starts them and a client, and waits until one holds.
func newTrio(t *testing.T, interval time.Duration) *trio {
	dir := t.TempDir()
	s := &trio{t: t, groups: newUnifiedGroup(t), has: map[int]bool{}}
	for n := 1; n <= 3; n++ {
		c := localConfig(t)
		unit := filepath.Join(dir, strconv.Itoa(n))
		require.NoError(t, os.MkdirAll(unit, 0o755))
		require.NoError(t, os.Mkdir(filepath.Join(s.groups, strconv.Itoa(n)), 0o755))
		i := &c.Instances[0]
		i.Interface, i.Addresses, i.VirtualRouterID, i.Version = "eth0", []netip.Addr{netip.MustParseAddr(trioVIP)}, 51, 3
		c.Peers, c.AdvertInterval, c.Links = true, healthcheck.Duration(interval), []string{"eth0"}
		c.Check = healthcheck.Check{Type: healthcheck.TCP, Target: "localhost:80", Interval: healthcheck.DefaultInterval, Timeout: healthcheck.DefaultTimeout, Fall: 3, Rise: 2}
		require.NoError(t, os.MkdirAll(filepath.Dir(i.TrackFile), 0o700))
		require.NoError(t, os.WriteFile(i.TrackFile, []byte(trackText(healthyStandby)), 0o600))
		data, err := c.Marshal()
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(filepath.Join(unit, "checker.json"), data, 0o600))
		require.NoError(t, os.WriteFile(filepath.Join(unit, "keepalived.conf"), []byte(fmt.Sprintf(`global_defs {
    vrrp_higher_prio_send_advert true
}
track_file VI_1 {
    file %q
    weight 1
}
vrrp_instance VI_1 {
    interface eth0
    state BACKUP
    version 3
    virtual_router_id 51
    priority %d
    advert_int %v
    virtual_ipaddress {
        %s/32
    }
    track_file {
        VI_1
    }
}
`, i.TrackFile, 51-n, interval.Seconds(), trioVIP)), 0o600))
	}
	s.process = launch(t, localConfig(t), exec.Command(needs.Program(t, "sh"), "-c", three, "sh", dir, s.groups, needs.Program(t, "keepalived"), program, os.Args[0]))
	t.Cleanup(func() {
		require.NoError(t, os.WriteFile(filepath.Join(s.groups, "cgroup.kill"), []byte("1"), 0))
	})
	for n := 1; n <= 3; n++ {
		file := filepath.Join(dir, strconv.Itoa(n), "pid")
		poll.Until(t, func() bool { _, err := os.Stat(file); return err == nil }, 30*time.Second, 10*time.Millisecond)
		s.watch(n, strings.TrimSpace(read(t, file)))
	}
	go s.ask()
	poll.Until(t, func() bool { return s.holder() != 0 && s.answered() }, time.Minute, 10*time.Millisecond, dir)
	time.Sleep(3 * time.Second) // all checks have passed, whoever comes first holds
	return s
}

func read(t *testing.T, file string) string {
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	return string(text)
}

// newUnifiedGroup makes a control group of version 2, which can be frozen (cgroups(7)).
func newUnifiedGroup(t *testing.T) string {
	root := "/sys/fs/cgroup/unified"
	if _, err := os.Stat(root); err != nil {
		root = "/sys/fs/cgroup"
	}
	dir, err := os.MkdirTemp(root, "checker-test-")
	require.NoError(t, err)
	t.Cleanup(func() {
		poll.Until(t, func() bool {
			for n := 1; n <= 3; n++ {
				_ = syscall.Rmdir(filepath.Join(dir, strconv.Itoa(n)))
			}
			return syscall.Rmdir(dir) == nil
		}, 10*time.Second, 10*time.Millisecond, dir)
	})
	return dir
}

// watch notes when a unit gets and loses the address, by the kernel's word.
func (s *trio) watch(n int, pid string) {
	monitor := exec.Command("nsenter", "--net=/proc/"+pid+"/ns/net", "ip", "-oneline", "monitor", "address")
	out, err := monitor.StdoutPipe()
	require.NoError(s.t, err)
	require.NoError(s.t, monitor.Start())
	s.t.Cleanup(func() {
		monitor.Process.Kill()
		monitor.Wait()
	})
	go func() {
		for lines := bufio.NewScanner(out); lines.Scan(); {
			if !strings.Contains(lines.Text(), trioVIP+"/32") {
				continue
			}
			s.mu.Lock()
			there := !strings.HasPrefix(lines.Text(), "Deleted")
			if there && !s.has[n] {
				s.came = append(s.came, n)
			}
			s.has[n] = there
			s.mu.Unlock()
		}
	}()
}

// holder is the unit that alone has the address, or 0.
func (s *trio) holder() (holder int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for n, has := range s.has {
		if has && holder != 0 {
			return 0
		}
		if has {
			holder = n
		}
	}
	return holder
}

func (s *trio) answered() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return time.Since(s.good) < 100*time.Millisecond
}

// ask is a client: it connects again and again, and wants the service itself to end the connection.
func (s *trio) ask() {
	s.inNamespace(func() error {
		for s.t.Context().Err() == nil {
			began := time.Now()
			conn, err := net.DialTimeout("tcp", trioVIP+":80", 50*time.Millisecond)
			if err == nil {
				conn.SetDeadline(time.Now().Add(50 * time.Millisecond))
				conn.(*net.TCPConn).CloseWrite()
				_, err = conn.Read(make([]byte, 1))
				conn.Close()
			}
			if err == io.EOF {
				s.mu.Lock()
				if !s.good.IsZero() {
					s.gap = max(s.gap, time.Since(s.good))
				}
				s.good = time.Now()
				s.mu.Unlock()
			}
			time.Sleep(10*time.Millisecond - time.Since(began))
		}
		return nil
	})
}

// freeze stops a unit's processes all at once, and lets them go on.
func (s *trio) freeze(n int, d time.Duration) {
	dir := filepath.Join(s.groups, strconv.Itoa(n))
	set := func(value string) {
		require.NoError(s.t, os.WriteFile(filepath.Join(dir, "cgroup.freeze"), []byte(value), 0))
		poll.Until(s.t, func() bool { return strings.Contains(read(s.t, dir+"/cgroup.events"), "frozen "+value) }, 5*time.Second, time.Millisecond)
	}
	set("1")
	time.Sleep(d)
	set("0")
}

// during tells what came of something that happened while a unit held: whether another one got the
// address, whether the unit has it again in the end (while it is frozen it does not lose it), and
// the longest time in which no client was answered.
func (s *trio) during(rest time.Duration, what func(holder int)) (moved, back bool, gap time.Duration) {
	settled := func() bool { return s.holder() != 0 && s.answered() }
	poll.Until(s.t, settled, 30*time.Second, 10*time.Millisecond)
	holder := s.holder()
	s.mu.Lock()
	s.came, s.gap = nil, 0
	s.mu.Unlock()
	what(holder)
	time.Sleep(rest)
	poll.Until(s.t, settled, 30*time.Second, 10*time.Millisecond)
	end := s.holder()
	s.mu.Lock()
	defer s.mu.Unlock()
	moved = len(s.came) > 0
	return moved, moved && end == holder, s.gap
}

// lose has the switch drop some percent of what comes from each unit and goes to it.
func (s *trio) lose(percent int, d time.Duration) {
	rules := func(text string) {
		s.inNamespace(func() error {
			nft := exec.Command("nft", "--file", "-")
			nft.Stdin = strings.NewReader(text)
			return nft.Run()
		})
	}
	table := "table netdev loss {\n"
	for n := 1; n <= 3; n++ {
		for _, hook := range []string{"ingress", "egress"} {
			table += fmt.Sprintf("chain %s%d { type filter hook %s device port%d priority 0; numgen random mod 100 < %d drop; }\n", hook, n, hook, n, percent)
		}
	}
	rules(table + "}\n")
	time.Sleep(d)
	rules("delete table netdev loss\n")
}
