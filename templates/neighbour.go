//go:build neighbour

package templates

// later makes the formats the next ones: tests take this revision of the charm for the next
// one.
const later = 1
