package scenario_test

import (
	"archive/zip"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// killerDir is where lab-killer has its orders on a machine.
const killerDir = "/run/lab-killer"

// killable is the packed charm with a dispatch that lab-killer runs.
func killable(t *testing.T) string {
	t.Helper()
	packed, err := zip.OpenReader(charmFile)
	require.NoError(t, err)
	defer packed.Close()
	path := filepath.Join(t.TempDir(), "keepalived.charm")
	f, err := os.Create(path)
	require.NoError(t, err)
	w := zip.NewWriter(f)
	for _, entry := range packed.File {
		head := entry.FileHeader
		if head.Name == "dispatch" {
			head.Name = "dispatch.real"
			wrapper := zip.FileHeader{Name: "dispatch", Method: zip.Deflate}
			wrapper.SetMode(0o755)
			out, err := w.CreateHeader(&wrapper)
			require.NoError(t, err)
			_, err = io.WriteString(out, "#!/bin/sh\nexec /opt/juju-lab/bin/lab-killer \"${0%/*}/dispatch.real\" \"$@\"\n")
			require.NoError(t, err)
		}
		in, err := entry.OpenRaw()
		require.NoError(t, err)
		out, err := w.CreateRaw(&head)
		require.NoError(t, err)
		_, err = io.Copy(out, in)
		require.NoError(t, err)
	}
	require.NoError(t, w.Close())
	require.NoError(t, f.Close())
	return path
}

// orders tells every machine's killer at which point to kill, 0 for nowhere.
func (d *deployment) orders(t *testing.T, deadly map[string]int) {
	t.Helper()
	for _, m := range d.Net.Machines() {
		id := strings.TrimPrefix(m.Name, "juju-")
		d.run(t, id, fmt.Sprintf("mkdir -p %[1]s; rm -f %[1]s/points; echo %[2]d >%[1]s/at", killerDir, deadly[id]))
	}
}

// pointsPassed takes the orders back and returns what was counted, by machine.
func (d *deployment) pointsPassed(t *testing.T) map[string][]string {
	t.Helper()
	points := map[string][]string{}
	for _, m := range d.Net.Machines() {
		id := strings.TrimPrefix(m.Name, "juju-")
		text := d.run(t, id, fmt.Sprintf("rm -f %[1]s/at; cat %[1]s/points 2>/dev/null || true", killerDir))
		points[id] = slices.Collect(strings.Lines(text))
	}
	return points
}

func countPoints(points map[string][]string) int {
	n := 0
	for _, list := range points {
		n += len(list)
	}
	return n
}

// reader are the starts of programs that only read: to die there is to die at the
// next point.
var reader = regexp.MustCompile(`^start(ed)? \S*/(config-get|network-get|relation-ids|relation-list|relation-get|goal-state|status-get|` +
	`keepalived --version|keepalived --signum|systemctl show)`)

// deaths choose, round by round, a point for each machine, of those that matter: with
// all each of them on one of the units, else a random one in every stratum.
func (d *deployment) deaths(c *killedChange, all bool, random *rand.Rand) []map[string]int {
	var rounds []map[string]int
	add := func(id string, deadly []int) {
		for r, n := range deadly {
			if r == len(rounds) {
				rounds = append(rounds, map[string]int{})
			}
			rounds[r][id] = n
		}
	}
	ids := slices.Sorted(maps.Keys(c.points))
	for i, id := range ids {
		var matter, deadly []int
		for n, point := range c.points[id] {
			if reader.MatchString(point) {
				continue
			}
			if all && len(matter)%len(ids) == i {
				deadly = append(deadly, n+1)
			}
			matter = append(matter, n+1)
		}
		if strata := c.strata / len(ids); !all && len(matter) >= strata {
			for r := range strata {
				from, to := r*len(matter)/strata, (r+1)*len(matter)/strata
				deadly = append(deadly, matter[from+random.IntN(to-from)])
			}
		}
		add(id, deadly)
	}
	return rounds
}
