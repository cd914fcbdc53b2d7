package lab

import (
	"fmt"
	"net/netip"
	"strings"
	"time"

	"keepalived-charm/tests/bench"
)

// variants are faults on other deployments than the default one.
func variants(busy time.Duration) []experiment {
	return []experiment{
		{most: 1, rows: []*benchRow{busyRow(busy)}},
		{options: map[string]string{"virtual_ip": "fd00:74::250"}, rows: []*benchRow{powerLoss("IPv6", 0.8)}},
		manyVIPs(20),
		manyVIPs(64),
		spreadVIPs(),
		{options: map[string]string{"vrrp_mode": "unicast"}, rows: []*benchRow{powerLoss("unicast", 0.8)}},
		{options: map[string]string{"advert_interval": "0.1"}, rows: []*benchRow{fastRow()}},
		{options: map[string]string{"advert_interval": "1"}, rows: []*benchRow{patientRow()}},
		{units: 5, rows: []*benchRow{powerLoss("5 units", 0.8)}},
		{units: 2, rows: []*benchRow{powerLoss("2 units", 0.8)}},
	}
}

// powerLoss is the holder's machine losing power on another deployment.
func powerLoss(deployment string, outage bench.Seconds) *benchRow {
	return &benchRow{target: faultRow("loses power: "+deployment, bench.Reference{}, outage), event: losePower, rest: rest}
}

// fastRow and patientRow are the ends of what is sensible of advert_interval.
func fastRow() *benchRow {
	row := powerLoss("advert_interval 0.1", 0.4)
	row.Bound.TwoHolders = 0.1
	return row
}

func patientRow() *benchRow {
	row := powerLoss("advert_interval 1", 3.3)
	row.Bound.TwoHolders = 1
	row.rest = rest + 2*time.Second
	return row
}

// manyVIPs measures the first and the last of a number of IPv4 virtual IPs.
func manyVIPs(count int) experiment {
	var list []string
	first := netip.MustParseAddr("10.10.74.101")
	for a := first; len(list) < count; a = a.Next() {
		list = append(list, a.String())
	}
	last := faultRow(fmt.Sprintf("loses power: %d virtual IPs, the last", count), bench.Reference{}, 0.8)
	last.vip = netip.MustParseAddr(list[count-1])
	row := powerLoss(fmt.Sprintf("%d virtual IPs, the first", count), 0.8)
	row.also = []*target{&last}
	return experiment{options: map[string]string{"virtual_ip": strings.Join(list, ",")}, rows: []*benchRow{row}}
}

// spreadVIPs measures a dead machine's own virtual IP and that of another one.
func spreadVIPs() experiment {
	const list = "10.10.74.101,10.10.74.102,10.10.74.103"
	other := quietRow(bench.Fault, "loses power: 3 virtual IPs spread, another unit's", bench.Reference{})
	other.vip = addresses(list)[1]
	row := powerLoss("3 virtual IPs spread, its own", 0.8)
	row.also = []*target{&other}
	return experiment{options: map[string]string{"virtual_ip": list, "spread": "true"}, rows: []*benchRow{row}}
}

// busyRow keeps all cores busy from inside the holder's machine. Nothing may move;
// clients and services are slower, too.
func busyRow(busy time.Duration) *benchRow {
	row := quietRow(bench.Fault, fmt.Sprintf("all cores are busy for %v", busy), bench.Reference{})
	row.Bound.Outage = 0.2
	loops := fmt.Sprintf(`for i in $(seq $((2 * $(nproc)))); do timeout %.0f sh -c 'while :; do :; done' & done; wait`, busy.Seconds())
	return &benchRow{target: row, event: script(loops), rest: rest}
}

// addresses reads a value of virtual_ip as rows write it.
func addresses(list string) []netip.Addr {
	var all []netip.Addr
	for word := range strings.SplitSeq(list, ",") {
		all = append(all, netip.MustParseAddr(word))
	}
	return all
}
