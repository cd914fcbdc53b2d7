package host_test

import (
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"keepalived-charm/internal/layout"
	"keepalived-charm/internal/step"
)

const (
	passwdFile = "/etc/passwd"
	root       = "root:x:0:0:root:/root:/bin/bash\n"
	ours       = "keepalived-charm:x:997:65534:Juju charm keepalived:/nonexistent:/usr/sbin/nologin\n"
	somebodys  = "keepalived-charm:x:1000:1000:A person:/home/keepalived-charm:/bin/bash\n"
)

// story is /etc/passwd before the charm, while it is there and after it.
type story struct {
	before, while, after string
	// neighbour tells that another application stays, busy that userdel refuses.
	neighbour, busy bool
}

// TestTheCheckersUserIsMadeWithTheBinaryAndRemovedWithTheLastApplication: one that another charm's
// revision or a neighbour has made is shared, and somebody else's is left alone.
func TestTheCheckersUserIsMadeWithItAndRemovedWithTheLastApplication(t *testing.T) {
	t.Parallel()
	begin := step.Step{Action: step.InstallBinary}
	remove := step.Step{Action: step.RemovePackage}
	stays := func(line string) story { return story{before: root + line, while: root + line, after: root + line} }
	similar := strings.Replace(ours, ":", "er:", 1)
	for claim, c := range map[string]story{
		"a machine without it":                {before: root, while: root + ours, after: root},
		"it is there":                         {before: root + ours, while: root + ours, after: root},
		"another application uses it still":   {before: root, while: root + ours, after: root + ours, neighbour: true},
		"a process of it runs all the same":   {before: root, while: root + ours, after: root + ours, busy: true},
		"a name that only begins like it":     {before: similar, while: similar + ours, after: similar},
		"the machine has no file for users":   {},
		"somebody has the name":               stays(somebodys),
		"root has the name":                   stays(strings.Replace(ours, "997", "0", 1)),
		"its line cannot be read":             stays("keepalived-charm:x\n"),
		"its number is none":                  stays(strings.Replace(ours, "997", "x", 1)),
		"it has another home than ours":       stays(strings.Replace(ours, "/nonexistent", "/srv", 1)),
		"it is in the group root, as no ours": stays(strings.Replace(ours, "65534", "0", 1)),
	} {
		t.Run(claim, func(t *testing.T) {
			m := newMachine(t)
			says := func() string {
				text, _ := os.ReadFile(m.in(passwdFile)) // it may have none
				return string(text)
			}
			if c.before != "" {
				m.put(passwdFile, c.before)
			}
			if c.busy {
				m.set(t, "busy-user", "yes")
			}
			m.put(m.l.CheckerConfig(), "x")
			for range 2 {
				m.apply(begin)
				require.Equal(t, c.while, says())
			}
			if c.neighbour {
				m.put(layout.Layout{Application: "other"}.CheckerConfig(), "x")
			}
			m.apply(remove)
			require.Equal(t, c.after, says())
		})
	}
}
