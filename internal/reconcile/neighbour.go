package reconcile

import (
	"strings"

	"keepalived-charm/internal/facts"
)

// foreignText is a keepalived.conf from before the charm: kept aside already, or
// still in place. With a fragment of the charm there, keepalived.conf is the
// charm's, whoever wrote into it.
func (m Machine) foreignText() (string, bool) {
	if text, ok := m.Files[ForeignFile]; ok {
		return text, true
	}
	for path := range m.Files {
		if strings.HasPrefix(path, FragmentDir+"/") {
			return "", false
		}
	}
	text := m.Files[MainFile]
	return text, len(m.Neighbours) == 0 && facts.Foreign(text)
}

// IsFragment tells by its first line whether a file is an application's fragment.
func IsFragment(application, text string) bool {
	return strings.HasPrefix(text, "# Written by the Juju charm keepalived for application "+application+".\n")
}
