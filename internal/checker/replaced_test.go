package checker

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestACheckerEndsWhereThePythonCharmHasReplacedItsOwn(t *testing.T) {
	const python, ours = "vrrp_script chk_svc_port {\n}\nvrrp_instance VI_1 {\n}\n", "include /etc/keepalived/charm.d/*.conf\n"
	long := int(replacedFor/replacedInterval) + 1
	for claim, row := range map[string]struct {
		texts []string // what is there, and for how many looks
		looks []int
		ends  bool
	}{
		"the Python charm's file is there for long": {[]string{ours, python}, []int{3, long}, true},
		"not while its hook may still be at work":   {[]string{ours, python}, []int{3, long - 1}, false},
		"this charm is back before":                 {[]string{python, ours, python}, []int{long - 1, 1, long - 1}, false},
		"its own file":                              {[]string{ours}, []int{3 * long}, false},
		"no file":                                   {[]string{""}, []int{3 * long}, false},
	} {
		t.Run(claim, func(t *testing.T) {
			l := newTestLoop(t)
			l.replaced.file = filepath.Join(t.TempDir(), "keepalived.conf")
			now, ended := time.Now(), false
			for n, text := range row.texts {
				_ = os.Remove(l.replaced.file)
				if text != "" {
					require.NoError(t, os.WriteFile(l.replaced.file, []byte(text), 0o600))
				}
				for range row.looks[n] {
					require.False(t, ended, "at the end, if at all")
					now = now.Add(replacedInterval)
					if _, err := l.lookForReplacement(now); err != nil {
						require.ErrorIs(t, err, ErrReplaced)
						ended = true
					}
				}
			}
			require.Equal(t, row.ends, ended)
		})
	}
}

// TestAKeepalivedOfThePythonCharmIsNeverStuck: it reads no track file.
func TestAKeepalivedOfThePythonCharmIsNeverStuck(t *testing.T) {
	for claim, since := range map[string]time.Time{"this charm's": {}, "the Python charm's": time.Now()} {
		l := newTestLoop(t)
		group := t.TempDir()
		l.daemon.groups, l.daemon.proc = []string{group}, t.TempDir()
		require.NoError(t, os.WriteFile(filepath.Join(group, "cgroup.procs"), []byte("1\n2\n"), 0o600))
		now, stuck := time.Now(), false
		for _, usage := range "abcdefgggggggggg" {
			require.NoError(t, os.WriteFile(filepath.Join(group, "cpu.stat"), []byte(string(usage)), 0o600))
			now = now.Add(standbyInterval)
			if usage == 'g' {
				l.replaced.since = since
			}
			_, err := l.lookAtDaemon(now)
			stuck = stuck || err != nil
		}
		require.Equal(t, since.IsZero(), stuck, claim)
	}
}
