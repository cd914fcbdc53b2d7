package host

import (
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"keepalived-charm/internal/applied"
	"keepalived-charm/internal/keepalived"
	"keepalived-charm/internal/vrrp"
)

// runs is what a unit runs with a virtual router of each interval, from 23 on.
func runs(intervals ...string) applied.Record {
	r := applied.Record{Routers: map[int]applied.Router{}, Addresses: map[netip.Addr]applied.Place{}}
	for n, interval := range intervals {
		d, err := time.ParseDuration(interval)
		if err != nil {
			panic(err)
		}
		id := vrrp.VirtualRouterID(23 + n)
		r.Routers[n] = applied.Router{Link: "eth0", Parameters: vrrp.Parameters{Version: 3, Mode: vrrp.Multicast, VirtualRouterID: id, Interval: d, Anchor: vrrp.Anchor(id, false)}}
	}
	return r
}

func TestPinnedAddressesWaitAsLongAsAnElectionTakes(t *testing.T) {
	for claim, c := range map[string]struct {
		runs applied.Record
		want time.Duration
	}{
		"no configuration any more":                     {applied.Record{}, 5 * time.Second},
		"the default interval":                          {runs("200ms"), 5 * time.Second},
		"longer than three intervals and a part of one": {runs("5s"), 22 * time.Second},
		"the longest of version 3":                      {runs("40.95s"), 165800 * time.Millisecond},
		"the longest of version 2":                      {runs("4m15s"), 1022 * time.Second},
		"the slowest of several instances":              {runs("1s", "10s"), 42 * time.Second},
	} {
		require.Equal(t, c.want, unpinLimit(c.runs), claim)
	}
}

func TestAnElectionIsWaitedForWhileNobodyElseHolds(t *testing.T) {
	first, second := netip.MustParseAddr("10.10.74.250"), netip.MustParseAddr("10.10.74.251")
	for claim, c := range map[string]struct {
		instances []keepalived.InstanceState
		want      bool
	}{
		"a new instance has heard nobody": {[]keepalived.InstanceState{{State: keepalived.Backup, Addresses: []netip.Addr{first, second}}}, true},
		"one of two is MASTER already": {[]keepalived.InstanceState{
			{State: keepalived.Master, Addresses: []netip.Addr{first}}, {State: keepalived.Backup, Addresses: []netip.Addr{second}}}, true},
		"another unit holds": {[]keepalived.InstanceState{{State: keepalived.Backup, MasterPriority: 204, Addresses: []netip.Addr{first, second}}}, false},
		"another unit holds one of them": {[]keepalived.InstanceState{
			{State: keepalived.Backup, Addresses: []netip.Addr{first}}, {State: keepalived.Backup, MasterPriority: 204, Addresses: []netip.Addr{second}}}, false},
		"out of the election":               {[]keepalived.InstanceState{{State: keepalived.Fault, Addresses: []netip.Addr{first, second}}}, false},
		"an address that nobody elects for": {[]keepalived.InstanceState{{State: keepalived.Backup, Addresses: []netip.Addr{first}}}, false},
		"a daemon that does not answer":     {nil, false},
	} {
		require.Equal(t, c.want, electing(c.instances, []netip.Addr{first, second}), claim)
	}
}
