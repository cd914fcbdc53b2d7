package controller

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/juju/juju/core/lease"
)

// leaseTable keeps leases as github.com/juju/juju/worker/lease/store.go keeps them in tables
// of SQL, with the same errors: a lease that is there is held, and only its holder extends or
// revokes it. A pin belongs to a lease and goes with it. Those that ran out without a pin are
// gone, which is the work of worker/leaseexpiry in Juju.
type leaseTable struct {
	mu   sync.Mutex
	rows map[lease.Key]*leaseRow
	// reserved are leases that only one may claim next, by key.
	reserved map[lease.Key]string
}

type leaseRow struct {
	lease.Info
	pins map[string]bool // by whom
}

func newLeaseTable() *leaseTable {
	return &leaseTable{rows: map[lease.Key]*leaseRow{}, reserved: map[lease.Key]string{}}
}

var _ lease.Store = (*leaseTable)(nil)

// current locks the table, without what ran out.
func (t *leaseTable) current() (rows map[lease.Key]*leaseRow, unlock func()) {
	t.mu.Lock()
	now := time.Now()
	maps.DeleteFunc(t.rows, func(_ lease.Key, row *leaseRow) bool {
		return len(row.pins) == 0 && row.Expiry.Before(now)
	})
	return t.rows, t.mu.Unlock
}

// ClaimLease is part of lease.Store.
func (t *leaseTable) ClaimLease(_ context.Context, key lease.Key, request lease.Request) error {
	if err := request.Validate(); err != nil {
		return err
	}
	rows, unlock := t.current()
	defer unlock()
	if next := t.reserved[key]; rows[key] != nil || next != "" && next != request.Holder {
		return lease.ErrHeld
	}
	delete(t.reserved, key)
	rows[key] = &leaseRow{
		Info: lease.Info{Holder: request.Holder, Expiry: time.Now().Add(request.Duration)},
		pins: map[string]bool{},
	}
	return nil
}

// ExtendLease is part of lease.Store.
func (t *leaseTable) ExtendLease(_ context.Context, key lease.Key, request lease.Request) error {
	if err := request.Validate(); err != nil {
		return err
	}
	rows, unlock := t.current()
	defer unlock()
	row := rows[key]
	if row == nil || row.Holder != request.Holder {
		return lease.ErrInvalid
	}
	row.Expiry = time.Now().Add(request.Duration)
	return nil
}

// RevokeLease is part of lease.Store.
func (t *leaseTable) RevokeLease(_ context.Context, key lease.Key, holder string) error {
	rows, unlock := t.current()
	defer unlock()
	if row := rows[key]; row == nil || row.Holder != holder {
		return lease.ErrInvalid
	}
	delete(rows, key)
	return nil
}

// Leases is part of lease.Store.
func (t *leaseTable) Leases(_ context.Context, keys ...lease.Key) (map[lease.Key]lease.Info, error) {
	return t.choose(func(key lease.Key) bool { return len(keys) == 0 || slices.Contains(keys, key) }), nil
}

// LeaseGroup is part of lease.Store.
func (t *leaseTable) LeaseGroup(_ context.Context, namespace, modelUUID string) (map[lease.Key]lease.Info, error) {
	return t.choose(func(key lease.Key) bool { return key.Namespace == namespace && key.ModelUUID == modelUUID }), nil
}

func (t *leaseTable) choose(wanted func(lease.Key) bool) map[lease.Key]lease.Info {
	rows, unlock := t.current()
	defer unlock()
	chosen := map[lease.Key]lease.Info{}
	for key, row := range rows {
		if wanted(key) {
			chosen[key] = row.Info
		}
	}
	return chosen
}

// PinLease is part of lease.Store.
func (t *leaseTable) PinLease(_ context.Context, key lease.Key, entity string) error {
	rows, unlock := t.current()
	defer unlock()
	if row := rows[key]; row != nil {
		row.pins[entity] = true
	}
	return nil
}

// UnpinLease is part of lease.Store.
func (t *leaseTable) UnpinLease(_ context.Context, key lease.Key, entity string) error {
	rows, unlock := t.current()
	defer unlock()
	if row := rows[key]; row != nil {
		delete(row.pins, entity)
	}
	return nil
}

// Pinned is part of lease.Store.
func (t *leaseTable) Pinned(context.Context) (map[lease.Key][]string, error) {
	rows, unlock := t.current()
	defer unlock()
	pinned := map[lease.Key][]string{}
	for key, row := range rows {
		if len(row.pins) > 0 {
			pinned[key] = slices.Sorted(maps.Keys(row.pins))
		}
	}
	return pinned, nil
}

// reserve takes a lease from its holder, and keeps it for another one.
func (t *leaseTable) reserve(key lease.Key, holder string) {
	rows, unlock := t.current()
	defer unlock()
	delete(rows, key)
	t.reserved[key] = holder
}
