//go:build !neighbour

package applied

// Version is that of the records that this revision of the charm writes, and the last one
// that it reads.
const Version = 1
