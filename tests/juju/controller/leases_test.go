package controller

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/juju/juju/core/lease"
)

func TestLeases(t *testing.T) {
	table, ctx := newLeaseTable(), t.Context()
	key := lease.Key{Namespace: "application-leadership", ModelUUID: "m", Lease: "keepalived"}
	long := func(holder string) lease.Request { return lease.Request{Holder: holder, Duration: time.Hour} }
	held := func() string {
		t.Helper()
		all, err := table.Leases(ctx, key)
		require.NoError(t, err)
		return all[key].Holder
	}
	assert.ErrorIs(t, table.ExtendLease(ctx, key, long("a")), lease.ErrInvalid, "nobody holds it")
	require.NoError(t, table.ClaimLease(ctx, key, long("a")))
	assert.ErrorIs(t, table.ClaimLease(ctx, key, long("b")), lease.ErrHeld)
	assert.ErrorIs(t, table.ClaimLease(ctx, key, long("a")), lease.ErrHeld, "the holder extends instead")
	assert.ErrorIs(t, table.ExtendLease(ctx, key, long("b")), lease.ErrInvalid)
	assert.NoError(t, table.ExtendLease(ctx, key, long("a")))
	assert.ErrorIs(t, table.RevokeLease(ctx, key, "b"), lease.ErrInvalid)
	assert.Error(t, table.ClaimLease(ctx, lease.Key{}, lease.Request{Holder: "a"}), "no duration")
	assert.Equal(t, "a", held())

	group, err := table.LeaseGroup(ctx, "application-leadership", "m")
	require.NoError(t, err)
	assert.Len(t, group, 1)
	group, err = table.LeaseGroup(ctx, "application-leadership", "other")
	require.NoError(t, err)
	assert.Empty(t, group)

	require.NoError(t, table.PinLease(ctx, key, "machine-0"))
	require.NoError(t, table.ExtendLease(ctx, key, lease.Request{Holder: "a", Duration: time.Nanosecond}))
	assert.Equal(t, "a", held(), "a pinned lease does not run out")
	pinned, err := table.Pinned(ctx)
	require.NoError(t, err)
	assert.Equal(t, map[lease.Key][]string{key: {"machine-0"}}, pinned)
	require.NoError(t, table.UnpinLease(ctx, key, "machine-0"))
	assert.Empty(t, held(), "it ran out")

	require.NoError(t, table.ClaimLease(ctx, key, long("b")))
	require.NoError(t, table.RevokeLease(ctx, key, "b"))
	assert.Empty(t, held())
}

func TestAReservedLease(t *testing.T) {
	table, ctx := newLeaseTable(), t.Context()
	key := lease.Key{Namespace: "application-leadership", ModelUUID: "m", Lease: "keepalived"}
	long := func(holder string) lease.Request { return lease.Request{Holder: holder, Duration: time.Hour} }
	require.NoError(t, table.ClaimLease(ctx, key, long("a")))
	table.reserve(key, "b")
	assert.ErrorIs(t, table.ExtendLease(ctx, key, long("a")), lease.ErrInvalid)
	assert.ErrorIs(t, table.ClaimLease(ctx, key, long("a")), lease.ErrHeld)
	require.NoError(t, table.ClaimLease(ctx, key, long("b")))
	require.NoError(t, table.RevokeLease(ctx, key, "b"))
	assert.NoError(t, table.ClaimLease(ctx, key, long("a")), "it is reserved once")
}
