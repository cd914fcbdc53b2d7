package scenario_test

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/stretchr/testify/require"

	"keepalived-charm/tests/lab"
	"keepalived-charm/tests/patience"
	"keepalived-charm/tests/poll"
)

// calm waits for hooks to be at rest, killed ones to have run again.
func (w *walker) calm() {
	w.t.Helper()
	failed := func(units map[string]lab.Unit) bool {
		return slices.ContainsFunc(slices.Collect(maps.Values(units)), func(u lab.Unit) bool { return u.Workload.Current == "error" && !w.dark[u.Machine] })
	}
	w.settled(w.t)
	for failed(w.Units()) {
		ctx, cancel := context.WithTimeout(w.ctx, patience.With(30*time.Second))
		err := w.WaitUnits(ctx, "failed hooks to have run again", func(units map[string]lab.Unit) bool { return !failed(units) })
		cancel()
		require.NoError(w.t, err)
		w.settled(w.t)
	}
}

// convergeLimit bounds how long what needs no hook takes: verdicts and moves.
const convergeLimit = 20 * time.Second

// settle lets the deployment come to rest and requires all that must hold then.
func (w *walker) settle() {
	w.t.Helper()
	w.calm()
	if w.nobodyMayHold() { // what all units share changes as soon as somebody does
		poll.Until(w.t, func() bool { _, err := w.rightHolder(); return err == nil }, convergeLimit, 100*time.Millisecond)
		return
	}
	before, wrong := w.await()
	for round := 1; wrong != nil && round <= 3; round++ {
		w.t.Logf("    before update-status %d: %v", round, wrong)
		w.slow += count(round == 1)
		w.updateStatus(w.t)
		w.calm()
		before, wrong = w.await()
	}
	require.NoError(w.t, wrong)
	w.updateStatus(w.t)
	after, wrong := w.await()
	require.NoError(w.t, wrong)
	for i, s := range after {
		require.Equal(w.t, before[i].changes, s.changes, "update-status changes nothing on machine %s", s.id)
	}
	holder, err := w.rightHolder()
	require.NoError(w.t, err)
	w.statuses(holder)
}

// await waits for what must hold after hooks came to rest, and returns what it saw
// then, or what does not hold.
func (w *walker) await() (sights []unitSight, wrong error) {
	for end := time.Now().Add(patience.With(convergeLimit)); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		if _, wrong = w.rightHolder(); wrong != nil {
			continue
		}
		if sights, wrong = w.look(); wrong != nil {
			continue
		}
		if wrong = w.agree(sights); wrong == nil {
			return sights, nil
		}
		if !strings.Contains(wrong.Error(), "verdict") {
			return nil, wrong // more time does not help
		}
	}
	return nil, wrong
}

// nobodyMayHold tells that every unit is sick and so kept out.
func (w *walker) nobodyMayHold() bool {
	return len(w.healthy()) == 0 && w.options["all_unhealthy"] == "drop"
}

// rightHolder returns the machine that has all virtual IPs, which must be a healthy
// one if there is any; none when nobody is to have them.
func (w *walker) rightHolder() (string, error) {
	holders := w.holders(w.vips()[0])
	for _, name := range walkAddresses {
		a := netip.MustParseAddr(name)
		want := holders
		if !slices.Contains(w.vips(), a) {
			want = nil
		}
		if have := w.holders(a); !slices.Equal(have, want) {
			return "", fmt.Errorf("%s is on %v, not on %v", a, have, want)
		}
	}
	healthy := w.healthy()
	switch {
	case w.nobodyMayHold():
		if len(holders) > 0 {
			return "", fmt.Errorf("machines %v hold, though none is healthy", holders)
		}
		return "", nil
	case len(holders) != 1:
		return "", fmt.Errorf("the holders are %v", holders)
	}
	id := strings.TrimPrefix(holders[0], "juju-")
	if len(healthy) > 0 && !slices.Contains(healthy, id) {
		return "", fmt.Errorf("machine %s holds, machines %v are healthy", id, healthy)
	}
	return id, nil
}

// agree compares paper, daemons and options on all machines.
func (w *walker) agree(sights []unitSight) error {
	holder, err := w.rightHolder()
	if err != nil {
		return err
	}
	healthy := w.healthy()
	for _, s := range sights {
		verdict := "sick"
		if slices.Contains(healthy, s.id) {
			verdict = "healthy"
		}
		loopback := []string{"127.0.0.1", "::1"}
		if s.id == holder {
			loopback = append(loopback, w.anchor().String())
		}
		slices.Sort(loopback)
		slices.Sort(s.loopback)
		addresses := w.vips()
		if a := w.anchor(); !slices.Contains(addresses, a) {
			addresses = append(addresses, a)
		}
		for _, claim := range []struct {
			what       string
			have, want any
		}{
			{"verdict", s.verdict, verdict},
			{"parameters on paper", s.parameters, w.parameters()},
			{"virtual router ID of the daemon", fmt.Sprint(s.daemon.VRID), w.option("router_id", "23")},
			{"VRRP version of the daemon", s.daemon.Version, w.version()},
			{"interval of the daemon", s.daemon.Interval, w.interval()},
			{"priority of the daemon", fmt.Sprint(s.daemon.Base), s.priority},
			{"addresses of the daemon", fmt.Sprint(s.addresses()), fmt.Sprint(sorted(addresses))},
			{"unicast peers", s.peers, w.peers()},
			{"debts", s.owed, ""},
			{"pinned addresses", s.pinned, ""},
			{"addresses of lo", fmt.Sprint(s.loopback), fmt.Sprint(loopback)},
		} {
			if claim.have != claim.want {
				return fmt.Errorf("machine %s: %s: have %v, want %v", s.id, claim.what, claim.have, claim.want)
			}
		}
	}
	return w.databagsAgree()
}

// databagsAgree tells of an announcement that is left in the databags of units that
// live.
func (w *walker) databagsAgree() error {
	bags, err := w.Databags("keepalived", cluster, cluster)
	if err != nil {
		return err
	}
	for _, id := range w.alive() {
		unit, _ := w.UnitOn("keepalived", id)
		bag := bags[unit]
		if bag["next"] != "" || bag["aside"] != "" || bag["vrrp"] != w.parameters() {
			return fmt.Errorf("%s announces %q, stands aside for %q, runs %q", unit, bag["next"], bag["aside"], bag["vrrp"])
		}
	}
	return nil
}

// statuses requires that each unit that lives names the holder and publishes the
// first virtual IP.
func (w *walker) statuses(holder string) {
	w.t.Helper()
	vips := w.vips()
	bags, err := w.Databags("keepalived", website, worker)
	require.NoError(w.t, err)
	for _, id := range w.alive() {
		unit := w.unitOn(w.t, id)
		s := w.workload(w.t, unit)
		out := w.options["all_unhealthy"] == "drop" && !slices.Contains(w.healthy(), id)
		require.Equal(w.t, map[bool]string{false: "active", true: "waiting"}[out], s.Current, "%s: %s", unit, s.Message)
		switch {
		case out:
			require.Contains(w.t, s.Message, "takes no VIP while its check fails", unit)
		case id == holder:
			require.Contains(w.t, s.Message, "VIP ready: holds "+vips[0].String(), unit)
		case holder != "":
			require.Contains(w.t, s.Message, "VIP ready: standby for "+vips[0].String(), unit)
			require.Contains(w.t, s.Message, "holder "+w.unitOn(w.t, holder), unit)
		}
		require.NotContains(w.t, s.Message, "moving to", unit)
		require.Equal(w.t, !slices.Contains(w.healthy(), id), strings.Contains(s.Message, "check fails"), "%s: %s", unit, s.Message)
		require.Equal(w.t, vips[0].String(), bags[unit]["private-address"], unit)
		require.Equal(w.t, w.option("vip_hostname", vips[0].String()), bags[unit]["hostname"], unit)
		require.Equal(w.t, w.option("port", "443"), bags[unit]["port"], unit)
	}
}

// option is an option's value, or another one where it is empty or was never set.
func (w *walker) option(name, otherwise string) string {
	if v := w.options[name]; v != "" {
		return v
	}
	return otherwise
}

func (w *walker) version() int {
	if w.options["vrrp_version"] == "2" {
		return 2
	}
	return 3
}

// interval is the advertisement interval, seconds.
func (w *walker) interval() float64 {
	n, err := strconv.ParseFloat(w.option("advert_interval", "0.2"), 64)
	require.NoError(w.t, err)
	return n
}

// anchor is the address that advertisements carry.
func (w *walker) anchor() netip.Addr {
	n, err := strconv.Atoi(w.option("router_id", "23"))
	require.NoError(w.t, err)
	if slices.ContainsFunc(w.vips(), netip.Addr.Is4) {
		return netip.AddrFrom4([4]byte{169, 254, byte(n), 112})
	}
	return netip.AddrFrom16([16]byte{0xfd, 0x70, 0x76, 0x72, 0x72, 0x70, 14: byte(n), 15: 112})
}

// parameters are what all units share, as the charm writes them.
func (w *walker) parameters() string {
	return fmt.Sprintf("version=%d mode=%s vrid=%s interval=%v anchor=%s", w.version(), w.option("vrrp_mode", "multicast"),
		w.option("router_id", "23"), time.Duration(w.interval()*float64(time.Second)), w.anchor())
}

// peers is how many unicast peers each unit lists.
func (w *walker) peers() int {
	if w.options["vrrp_mode"] != "unicast" {
		return 0
	}
	return len(w.members()) - 1
}
