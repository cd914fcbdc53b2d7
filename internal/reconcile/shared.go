package reconcile

import (
	"strconv"
	"strings"

	"keepalived-charm/internal/juju"
)

// Units of one application share its files on a machine, applications of this charm those
// of all. The first unit to serve keeps the application's, the latest revision those of all.

// Owner is the other unit of this application whose the application's files on this
// machine are; false when they are this unit's, or nobody's.
func (o Observed) Owner() (juju.Unit, bool) {
	owner, err := juju.ParseUnit(strings.TrimSpace(o.Machine.Files[o.layout().Owner()]))
	us := o.Event.Unit
	return owner, err == nil && owner.Application == us.Application && owner != us && !o.Machine.OwnerGone
}

// shared returns what a file of all applications is to hold: what is there, when a later
// revision wrote it.
func shared(want, have string) string {
	if format(have) > format(want) {
		return have
	}
	return want
}

// format is the number in the header of a file of all applications; 0 without one.
func format(text string) int {
	if !strings.HasPrefix(text, "# Written by the Juju charm keepalived") {
		return 0
	}
	for line := range strings.Lines(text) {
		if number, found := strings.CutPrefix(line, "# Format "); found {
			n, err := strconv.Atoi(strings.TrimSpace(number))
			if err == nil {
				return n
			}
		}
	}
	return 0
}
