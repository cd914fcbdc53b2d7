package scenario_test

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// unitSight is what one machine says about its unit.
type unitSight struct {
	id string
	// daemon is keepalived's own report about the unit's instance.
	daemon daemonSight
	// parameters, priority and peers are those of the fragment.
	parameters, priority string
	peers                int
	// owed lists what hooks have left to do, pinned what they left on loopback.
	owed, pinned string
	// loopback are the addresses of lo, sorted.
	loopback []string
	verdict  string
	// changes counts the hooks since the last step that changed the machine.
	changes int
}

// daemonSight is what keepalived's report says (vrrp_json.c).
type daemonSight struct {
	Name     string   `json:"iname"`
	VRID     int      `json:"vrid"`
	Version  int      `json:"version"`
	Interval float64  `json:"adver_int"`
	Base     int      `json:"base_priority"`
	VIPs     []string `json:"vips"`
	Excluded []string `json:"evips"`
}

// reportPath sets $report to where the daemon with the process ID $pid reports on itself.
const reportPath = `
dir=$(tr '\0' '\n' </proc/$pid/environ | sed -n 's/^TMPDIR=//p')
report=/proc/$pid/root${dir:-/tmp}/keepalived.json
`

// sightScript prints one KEY=VALUE in a line. The report of an earlier call is taken away
// first; keepalived writes a new one on its JSON signal.
const sightScript = `
fragment=/etc/keepalived/charm.d/keepalived.conf
state=/var/lib/keepalived-charm/keepalived
echo parameters=$(sed -n 's/^# parameters charm_keepalived: //p' $fragment)
echo priority=$(awk '$1 == "priority" { print $2 }' $fragment)
echo peers=$(awk '/unicast_peer/ { p = 1; next } /}/ { p = 0 } p' $fragment | wc -l)
echo owed=$(ls $state/owed)
echo pinned=$(cat $state/pinned 2>/dev/null)
echo loopback=$(ip -oneline address show dev lo | awk '{ sub("/.*", "", $4); print $4 }' | sort)
echo verdict=$(sed 's/.*"verdict":"\([a-z]*\)".*/\1/' /run/keepalived-charm/keepalived/status.json)
pid=$(systemctl show --property=MainPID --value keepalived.service)
` + reportPath + `rm -f $report
kill -s $(keepalived --signum=JSON) $pid
for i in $(seq 50); do sleep 0.02; tail -c 1 $report 2>/dev/null | grep -q . && break; done
sleep 0.02
echo daemon=$(tr '\n' ' ' <$report)
`

// look asks all machines that have power, at the same time.
func (w *walker) look() ([]unitSight, error) {
	ids := w.alive()
	sights, errs := make([]unitSight, len(ids)), make([]error, len(ids))
	var group sync.WaitGroup
	for i, id := range ids {
		group.Go(func() { sights[i], errs[i] = w.sight(id) })
	}
	group.Wait()
	for _, err := range errs {
		if err != nil {
			return nil, err
		}
	}
	return sights, nil
}

func (w *walker) sight(id string) (unitSight, error) {
	m, err := w.Machine(id)
	if err != nil {
		return unitSight{}, err
	}
	r, err := m.Exec(w.ctx, "sh", "-c", sightScript)
	if err != nil {
		return unitSight{}, err
	}
	changes, err := w.Logged(w.ctx, id, w.steps[len(w.steps)-1].from, "changing this machine")
	if err != nil {
		return unitSight{}, err
	}
	values := map[string]string{}
	for line := range strings.Lines(r.Stdout) {
		k, v, _ := strings.Cut(strings.TrimSpace(line), "=")
		values[k] = v
	}
	s := unitSight{id: id, parameters: values["parameters"], priority: values["priority"], owed: values["owed"],
		pinned: values["pinned"], loopback: strings.Fields(values["loopback"]), verdict: values["verdict"], changes: len(changes)}
	if s.peers, err = strconv.Atoi(values["peers"]); err != nil {
		return s, fmt.Errorf("machine %s: no configuration: %s", id, r.Stderr)
	}
	var instances []struct {
		Data daemonSight `json:"data"`
	}
	if err := json.Unmarshal([]byte(values["daemon"]), &instances); err != nil {
		return s, fmt.Errorf("machine %s: keepalived's report: %w: %.200s %s", id, err, values["daemon"], r.Stderr)
	}
	for _, i := range instances {
		if i.Data.Name == "charm_keepalived" {
			s.daemon = i.Data
		}
	}
	return s, nil
}

// addresses are those the daemon has read, sorted.
func (s unitSight) addresses() []netip.Addr {
	var all []netip.Addr
	for _, text := range append(slices.Clone(s.daemon.VIPs), s.daemon.Excluded...) {
		word, _, _ := strings.Cut(text, " ")
		word, _, _ = strings.Cut(word, "/")
		if a, err := netip.ParseAddr(word); err == nil {
			all = append(all, a)
		}
	}
	return sorted(all)
}

func sorted(list []netip.Addr) []netip.Addr {
	return slices.SortedFunc(slices.Values(list), netip.Addr.Compare)
}
