//go:build neighbour

package healthcheck

// Version is the next one: tests take this revision of the charm for the next one.
const Version = 3
