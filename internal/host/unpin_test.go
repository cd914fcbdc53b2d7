package host

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"keepalived-charm/internal/keepalived"
)

// instanceText is an instance in a fragment, with its interval.
func instanceText(name, version, interval string) string {
	return fmt.Sprintf("# parameters %s: version=%s mode=multicast vrid=23 interval=%s anchor=169.254.23.112\nvrrp_instance %s {\n}\n", name, version, interval, name)
}

func TestPinnedAddressesWaitAsLongAsAnElectionTakes(t *testing.T) {
	for claim, c := range map[string]struct {
		fragment string
		want     time.Duration
	}{
		"no configuration any more":                             {"", 5 * time.Second},
		"the default interval":                                  {instanceText("charm_k", "3", "200ms"), 5 * time.Second},
		"longer than three intervals and a part of one":         {instanceText("charm_k", "3", "5s"), 22 * time.Second},
		"the longest of version 3":                              {instanceText("charm_k", "3", "40.95s"), 165800 * time.Millisecond},
		"the longest of version 2":                              {instanceText("charm_k", "2", "4m15s"), 1022 * time.Second},
		"the slowest of several instances":                      {instanceText("charm_k", "3", "1s") + instanceText("charm_k_1", "3", "10s"), 42 * time.Second},
		"what is no instance of the charm tells of no interval": {"vrrp_instance x {\n advert_int 9\n}\n", 5 * time.Second},
	} {
		require.Equal(t, c.want, unpinLimit(c.fragment), claim)
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
