// Package machine boots the lab's machines: systemd-nspawn containers started from one cached
// Debian image, each in a network namespace of its own, joined with a client by a bridge that also
// lives in a namespace. The host's own network namespace is never touched, and everything a lab
// makes carries the lab's ID, so that Close, or the next run's CleanStale, finds all of it.
package machine
