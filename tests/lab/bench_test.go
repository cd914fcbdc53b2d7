package lab

import (
	"encoding/xml"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"keepalived-charm/tests/bench"
)

func TestRowsArePickedByTheirEvent(t *testing.T) {
	events := func(pattern string) (found []string) {
		picked, err := pickRows(benchRows(time.Minute), pattern)
		require.NoError(t, err)
		for _, e := range picked {
			for _, row := range e.rows {
				for _, target := range row.targets() {
					if target.picked {
						found = append(found, target.Event)
					}
				}
			}
		}
		return found
	}
	require.Greater(t, len(events("")), 30)
	require.Equal(t, []string{"service on the holder is killed", "failed holder returns"}, events("^service.*KILLED|returns$"))
	require.Len(t, events("by hand"), 8)
	require.Equal(t, []string{"loses power: 64 virtual IPs, the last"}, events("64.*last"))
	_, err := pickRows(benchRows(0), "volcano")
	require.ErrorContains(t, err, `"volcano" matches none of: holder's machine loses power, service`)
	_, err = pickRows(nil, "(")
	require.ErrorContains(t, err, "cannot pick rows: error parsing regexp")
}

func TestEveryRowCanBeMeasured(t *testing.T) {
	seen := map[string]bool{}
	for _, e := range benchRows(time.Minute) {
		for _, row := range e.rows {
			require.NotNil(t, row.event, row.Event)
			for _, target := range row.targets() {
				require.False(t, seen[target.Event], "%s is there twice", target.Event)
				seen[target.Event] = true
				require.NotEmpty(t, target.Kind, target.Event)
				if target.Kind == bench.Peer {
					continue // nothing is wanted of them
				}
				require.NotZero(t, target.Bound.TwoHolders, target.Event)
				// An outage at the bound has to end within the measurement.
				require.Greater(t, row.rest.Seconds(), float64(target.Bound.Outage), target.Event)
			}
		}
	}
}

// TestPeersGetWhatTheirProgramsTake: by the real keepalived, and as XML; nothing is left to fill in.
func TestPeersGetWhatTheirProgramsTake(t *testing.T) {
	dir := t.TempDir()
	nodes := addresses("10.10.74.11,10.10.74.12,10.10.74.13")
	accepted := 0
	for _, p := range peers() {
		for n := range nodes {
			files, err := p.files(n, nodes)
			require.NoError(t, err)
			for path, text := range files {
				require.NotRegexp(t, "VIP|PRIORITY|NODES", text, "%s of %s", path, p.name)
				if filepath.Ext(path) == ".xml" {
					require.NoError(t, xml.Unmarshal([]byte(text), new(struct{})), path)
				}
			}
			conf := files["/etc/keepalived/keepalived.conf"]
			if conf == "" {
				continue
			}
			conf = strings.NewReplacer("/usr/local/bin/check-connect", "/bin/true", "/usr/local/bin/check-answer", "/bin/true").Replace(conf)
			file := filepath.Join(dir, "keepalived.conf")
			require.NoError(t, os.WriteFile(file, []byte(conf), 0o644))
			out, err := exec.Command("unshare", "--net", "sh", "-ec",
				"ip link add eth0 type veth peer name other; ip addr add 10.10.74.11/24 dev eth0; ip link set eth0 up; exec keepalived --config-test --use-file "+file).CombinedOutput()
			require.NoError(t, err, "%s: %s", p.name, out)
			require.NotContains(t, strings.ToLower(string(out)), "unknown keyword", p.name)
			accepted++
		}
	}
	require.Equal(t, 6, accepted)
}
