package render

import (
	"strconv"
	"strings"
)

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
