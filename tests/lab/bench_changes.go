package lab

import (
	"context"
	"fmt"
	"time"

	"keepalived-charm/tests/bench"
	"keepalived-charm/tests/machine"
)

// changes are events that no client may notice, those of all units at once, as
// Juju makes them.
func changes() []experiment {
	harmless := experiment{most: changeRuns}
	for _, o := range [][2]string{
		{"vip_hostname", "api.example.com"},
		{"healthcheck_interval", "2"},
		{"port", fmt.Sprint(machine.OtherServicePort)},
	} {
		row := changeRow("option changed: "+o[0], o[0], o[1])
		row.Python = pythonOption
		row.restore = func(ctx context.Context, s *stage) error {
			return s.configure(ctx, map[string]string{"virtual_ip": VIP.String()})
		}
		harmless.rows = append(harmless.rows, row)
	}
	one, other, third := VIP.String(), "10.10.74.251", "10.10.74.252"
	const patient = 1 // seconds, the interval at which both VRRP versions work
	return []experiment{
		{most: 2, rows: []*benchRow{upgradeRow()}},
		harmless,
		{most: changeRuns, options: map[string]string{"virtual_ip": one}, rows: []*benchRow{
			changeRow("virtual IP added", "virtual_ip", one+","+other),
			changeRow("virtual IP removed", "virtual_ip", one),
		}},
		{most: changeRuns, options: map[string]string{"virtual_ip": other + "," + one}, rows: []*benchRow{
			changeRow("virtual IP replaced by another", "virtual_ip", third+","+one),
			changeRow("virtual IPs in another order", "virtual_ip", one+","+third),
		}},
		{most: changeRuns, options: map[string]string{"router_id": "23"}, rows: []*benchRow{
			changeRow("router_id 23 to 51", "router_id", "51"),
			changeRow("router_id 51 to 23", "router_id", "23"),
		}},
		{most: changeRuns, options: map[string]string{"vrrp_mode": "multicast"}, rows: []*benchRow{
			changeRow("multicast to unicast", "vrrp_mode", "unicast"),
			changeRow("unicast to multicast", "vrrp_mode", "multicast"),
		}},
		{most: changeRuns, options: map[string]string{"advert_interval": "0.2"}, rows: []*benchRow{
			within(patient, changeRow("advert_interval 0.2 to 1", "advert_interval", "1")),
			within(patient, changeRow("advert_interval 1 to 0.2", "advert_interval", "0.2")),
		}},
		{most: changeRuns, options: map[string]string{"advert_interval": "1", "vrrp_version": "3"}, rows: []*benchRow{
			within(patient, changeRow("vrrp_version 3 to 2, interval 1", "vrrp_version", "2")),
			within(patient, changeRow("vrrp_version 2 to 3, interval 1", "vrrp_version", "3")),
		}},
	}
}

// changeRuns is how often a change is measured at most: what costs nothing costs it
// each time.
const changeRuns = 3

// changeRest is how long clients are watched after the last hook of a change.
const changeRest = 1500 * time.Millisecond

// changeRow sets an option of all units at once, whose hooks run together.
func changeRow(event, option, value string) *benchRow {
	return &benchRow{
		target: quietRow(bench.Change, event, bench.Reference{}),
		event: func(ctx context.Context, s *stage) error {
			return s.change(ctx, map[string]string{option: value})
		},
		rest: changeRest,
	}
}

// within allows two holders for a longer advertisement interval than the default
// one, and watches for longer.
func within(interval bench.Seconds, row *benchRow) *benchRow {
	row.Bound.TwoHolders = interval
	row.rest += time.Duration(float64(interval) * float64(time.Second))
	return row
}
