//go:build neighbour

package templates

// format is the next one: tests take this revision of the charm for the next one.
func format(number int) int { return number + 1 }
