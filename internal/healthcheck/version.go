//go:build !neighbour

package healthcheck

// Version is that of the configuration files that this revision of the charm writes; it
// reads none of a later one. The first ones had no number.
const Version = 2
