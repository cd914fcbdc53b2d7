package checker

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

func TestAKeepalivedThatDoesNothingIsStuck(t *testing.T) {
	for _, row := range []struct {
		claim string
		// usage is what each look finds, one character a look; a dot is no daemon, an
		// underscore a second in which the checker itself did not run.
		usage    string
		asked    int
		stuck    bool
		restarts uint64
	}{
		{"one that works all the time is not asked", "abcdefghijkl", 0, false, 0},
		{"one that works and stops is asked once and then stuck", "abcdeffffffff", 1, true, 0},
		{"one that has little to do reads the track file whenever it is asked", "aabbccddeeffgg", 7, false, 0},
		{"one that read the track file and stops is stuck", "aabbbbbbbbb", 2, true, 0},
		{"one that never read the track file has another configuration", "aaaaaaaaaaaaaaaa", 1, false, 0},
		{"one that does not run is not stuck", "abcdef............", 0, false, 0},
		{"one that started anew must be known first", "abcdef..aaaaaaaaaa", 1, false, 1},
		{"one that started anew between two looks has used less", "efghabcdab", 0, false, 2},
		{"a machine that was frozen asks anew", "abcdefff_f_f_f_f", 5, false, 0},
	} {
		t.Run(row.claim, func(t *testing.T) {
			w, now := daemonWatch{}, time.Now()
			asked, stuck := 0, false
			for _, c := range row.usage {
				now = now.Add(daemonInterval)
				if c == '_' {
					now = now.Add(time.Second)
					continue
				}
				usage := fmt.Sprintf("usage_usec %d", c)
				if c == '.' {
					usage = ""
				}
				ask, end := w.look(now, usage)
				if ask {
					asked++
				}
				stuck = stuck || end
			}
			require.Equal(t, row.asked, asked)
			require.Equal(t, row.stuck, stuck)
			require.Equal(t, row.restarts, w.restarts)
		})
	}
}

// TestATrackFileIsSeldomRewritten: no more than once in two intervals, where those are a second
// or more. keepalived reads what is written at once, and works by itself once an interval, a
// little late each time, while there is a holder; without one it has nothing to do. One that
// stops for good is found all the same.
func TestATrackFileIsSeldomRewritten(t *testing.T) {
	const tick = 50 * time.Millisecond
	for _, interval := range []time.Duration{time.Second, 5 * time.Second} {
		for claim, holder := range map[string]bool{"with a holder": true, "without": false} {
			t.Run(fmt.Sprintf("%v %s", interval, claim), func(t *testing.T) {
				l := newTestLoop(t)
				group := t.TempDir()
				l.daemon.groups, l.daemon.proc, l.daemon.interval = []string{group}, t.TempDir(), interval
				require.NoError(t, os.WriteFile(filepath.Join(group, "cgroup.procs"), []byte("12\n13\n"), 0o600))
				written, err := unix.InotifyInit1(unix.IN_NONBLOCK | unix.IN_CLOEXEC)
				require.NoError(t, err)
				defer unix.Close(written)
				_, err = unix.InotifyAddWatch(written, l.tracks[0].file.path, unix.IN_CLOSE_WRITE)
				require.NoError(t, err)
				start := time.Now()
				var writes []time.Time
				usage, works := 0, start.Add(interval)
				look := func(now time.Time, runs bool) error {
					reads, _ := unix.Read(written, make([]byte, 4096))
					if reads > 0 {
						writes = append(writes, now)
					}
					due := holder && !now.Before(works)
					if due {
						works = works.Add(interval + tick)
					}
					if usage == 0 || runs && (due || reads > 0) {
						usage++
						require.NoError(t, os.WriteFile(filepath.Join(group, "cpu.stat"), fmt.Appendf(nil, "usage_usec %d\n", usage), 0o600))
					}
					_, err := l.lookAtDaemon(now)
					return err
				}
				now := start
				for end := start.Add(10 * interval); now.Before(end); now = now.Add(tick) {
					require.NoError(t, look(now, true))
				}
				for n := 1; n < len(writes); n++ {
					require.GreaterOrEqual(t, writes[n].Sub(writes[n-1]), 2*interval)
				}
				if holder {
					require.Len(t, writes, 1, "until it is known to read it")
				} else {
					require.Greater(t, len(writes), 3)
				}
				stopped := now
				for err = nil; err == nil; now = now.Add(tick) {
					require.LessOrEqual(t, now.Sub(stopped), 2*interval+daemonPatience+2*daemonInterval)
					err = look(now, false)
				}
				require.ErrorIs(t, err, ErrStuck)
				t.Logf("%d writes in ten intervals, stuck found after %v", len(writes), now.Sub(stopped))
			})
		}
	}
}

func TestAStuckKeepalivedEndsTheChecker(t *testing.T) {
	l := newTestLoop(t)
	group := t.TempDir()
	put := func(name, text string) {
		require.NoError(t, os.WriteFile(filepath.Join(group, name), []byte(text), 0o600))
	}
	l.daemon.groups, l.daemon.proc = []string{filepath.Join(group, "none"), group}, t.TempDir()
	put("cpu.stat", "usage_usec 12\nuser_usec 7\n")
	put("cgroup.procs", "12\n")
	require.Equal(t, "usage_usec 12", l.daemon.read())
	l.daemon.armed = true
	now := time.Now()
	look := func() error {
		var err error
		for range 8 {
			now = now.Add(daemonInterval)
			if _, failed := l.lookAtDaemon(now); failed != nil {
				err = failed
			}
		}
		return err
	}
	require.NoError(t, look(), "a daemon without an instance is not stuck")
	put("cgroup.procs", "12\n13\n")
	for claim, row := range map[string]struct {
		first, second string
		stuck         bool
	}{
		"two of keepalived's":               {"/usr/sbin/keepalived\x00--dont-fork\x00", "/usr/sbin/keepalived\x00--dont-fork\x00", true},
		"it is hidden from this user":       {"", "", true},
		"a preparation that waits":          {"sh\x00-c\x00/usr/sbin/keepalived\x00", "/var/lib/keepalived-charm/keepalived/keepalived-charm\x00prepare\x00", false},
		"a script of the owner's beside it": {"/bin/sh\x00/etc/keepalived\x00", "keepalived\x00", false},
	} {
		for pid, line := range map[string]string{"12": row.first, "13": row.second} {
			require.NoError(t, os.MkdirAll(filepath.Join(l.daemon.proc, pid), 0o700))
			file := filepath.Join(l.daemon.proc, pid, "cmdline")
			if line == "" {
				require.NoError(t, os.RemoveAll(file))
				continue
			}
			require.NoError(t, os.WriteFile(file, []byte(line), 0o600))
		}
		require.Equal(t, row.stuck || strings.HasPrefix(claim, "a script"), l.daemon.runs(), "metrics: %s", claim)
		if row.stuck {
			require.ErrorIs(t, look(), ErrStuck, claim)
		} else {
			require.NoError(t, look(), claim)
		}
	}
}

// TestAKeepalivedThatLeftItsAddressesEndsTheChecker: systemd runs nothing when one is killed
// whose service is masked.
func TestAKeepalivedThatLeftItsAddressesEndsTheChecker(t *testing.T) {
	for _, row := range []struct {
		claim string
		// runs is what each look finds: one that runs, none (a dot), or, an underscore,
		// that a second went by in which the checker itself did not run.
		runs     string
		holds    bool
		orphaned bool
	}{
		{"it was killed and does not start again", "aaaa......", true, true},
		{"it holds nothing", "aaaa......", false, false},
		{"it starts again", "aaaa..aa..aa", true, false},
		{"this checker never saw it: a hook looks, or did", "............", true, false},
		{"a machine that was frozen lets time pass first", "aaaa.._.._..", true, false},
	} {
		t.Run(row.claim, func(t *testing.T) {
			l := newTestLoop(t)
			group := t.TempDir()
			l.daemon.groups = []string{group}
			l.election.members[0].holder = row.holds
			now, orphaned := time.Now(), false
			for n, c := range row.runs {
				now = now.Add(daemonInterval)
				usage := filepath.Join(group, "cpu.stat")
				switch c {
				case '_':
					now = now.Add(time.Second)
					continue
				case '.':
					_ = os.Remove(usage)
				default:
					require.NoError(t, os.WriteFile(usage, []byte(strconv.Itoa(n)), 0o600))
				}
				if _, err := l.lookAtDaemon(now); err != nil {
					require.ErrorIs(t, err, ErrOrphaned)
					orphaned = true
				}
			}
			require.Equal(t, row.orphaned, orphaned)
		})
	}
}
