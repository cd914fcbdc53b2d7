// Package probe measures what a VIP's users see and who holds it: a prober that opens a new TCP
// connection every few milliseconds from the client's network namespace, and an observer that
// follows the addresses in the machines' namespaces. The arithmetic (Tally, Timeline) does no I/O.
package probe
