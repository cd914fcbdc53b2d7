package host

import (
	"os"
	"path/filepath"
	"strings"

	"keepalived-charm/internal/juju"
)

// CharmOf returns the name of the charm that a unit on this machine has, by the files that its
// agent unpacked beside this one's; empty where there are none that can be read.
func (h *Host) CharmOf(u juju.Unit) string {
	own := filepath.Dir(filepath.Dir(h.self)) // as in left
	text, err := os.ReadFile(filepath.Join(filepath.Dir(own), agentOf(u.String()), "charm", "metadata.yaml"))
	if err != nil {
		return ""
	}
	for line := range strings.Lines(string(text)) {
		if name, found := strings.CutPrefix(line, "name:"); found {
			return strings.Trim(strings.TrimSpace(name), `"'`)
		}
	}
	return ""
}
