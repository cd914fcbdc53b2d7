// Package sqlite3 stands in for the driver of SQLite, which needs cgo. Juju's lease manager
// is compiled with Juju's database packages, which name errors of the driver
// (github.com/juju/juju/database/errors.go and database/txn/errors.go); here leases are in
// memory, and no such database is opened.
package sqlite3

import "strconv"

// ErrNo is a result code.
type ErrNo int

// ErrNoExtended is a result code with its detail.
type ErrNoExtended int

// Error is what the driver fails with.
type Error struct {
	Code         ErrNo
	ExtendedCode ErrNoExtended
}

// The numbers are SQLite's own.
const (
	ErrBusy             ErrNo         = 5
	ErrLocked           ErrNo         = 6
	ErrConstraintUnique ErrNoExtended = 2067
)

func (n ErrNo) Error() string { return "result code " + strconv.Itoa(int(n)) }

func (e Error) Error() string { return e.Code.Error() }
