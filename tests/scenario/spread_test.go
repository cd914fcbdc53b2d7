package scenario_test

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"keepalived-charm/tests/lab"
	"keepalived-charm/tests/patience"
	"keepalived-charm/tests/poll"
)

// TestSpread is about option spread: three virtual IPs over three units.
func TestSpread(t *testing.T) {
	t.Parallel()
	d := deploy(t, map[string]string{"virtual_ip": "10.10.74.250 10.10.74.251 10.10.74.252", "spread": "true"})
	vips := []netip.Addr{lab.VIP, lab.VIP.Next(), lab.VIP.Next().Next()}
	s := spread{d, vips}

	d.scenario(t, "each unit holds one virtual IP and names the holders of the others", func(t *testing.T) {
		held := s.eachHoldsOne(t)
		for k, id := range held {
			unit := d.unitOn(t, id)
			d.says(t, unit, fmt.Sprintf("VIP ready: holds 1 of 3 VIPs, %s; ", vips[k]))
			for other, id := range held {
				if other != k {
					d.says(t, unit, fmt.Sprintf("; %s holds %s", d.unitOn(t, id), vips[other]))
				}
			}
		}
	})
	d.scenario(t, "a machine that dies takes its own virtual IP along, and returns for it", func(t *testing.T) {
		held := s.eachHoldsOne(t)
		all := s.measure(t, time.Second, func() { require.NoError(t, d.Kill(d.ctx, held[1])) })
		moved(t, all[1], machineDies)
		s.untouched(t, all, 0, 2)
		all = s.measure(t, time.Second, func() {
			require.NoError(t, d.Heal(d.ctx, held[1]))
			require.Equal(t, held, s.eachHoldsOne(t))
		})
		moved(t, all[1], handedOver)
		s.untouched(t, all, 0, 2)
	})
	d.scenario(t, "a service that dies moves the virtual IP of its unit", func(t *testing.T) {
		held := s.eachHoldsOne(t)
		all := s.measure(t, time.Second, func() { d.run(t, held[2], "systemctl stop haproxy.service") })
		moved(t, all[2], serviceDies)
		s.untouched(t, all, 0, 1)
		// A checker that saw the service come back would hold the unit back for a minute.
		d.run(t, held[2], "systemctl stop keepalived-checker-keepalived.service; systemctl start haproxy.service; systemctl start keepalived-checker-keepalived.service")
		s.eachHoldsOne(t)
	})
	d.scenario(t, "a paused unit hands over what it holds, and gets it back", func(t *testing.T) {
		held := s.eachHoldsOne(t)
		d.updateStatus(t)
		d.settled(t)
		all := s.measure(t, time.Second, func() { d.act(t, d.unitOn(t, held[0]), "pause", nil) })
		moved(t, all[0], handedOver)
		s.untouched(t, all, 1, 2)
		d.act(t, d.unitOn(t, held[0]), "resume", nil)
		s.eachHoldsOne(t)
	})
	for _, row := range []struct {
		claim   string
		options map[string]string
		out     bool
	}{
		{"to one holder", map[string]string{"spread": "false"}, false},
		{"to one each, by unicast", map[string]string{"spread": "true", "vrrp_mode": "unicast"}, true},
		{"to other virtual router IDs", map[string]string{"router_id": "24"}, true},
	} {
		d.scenario(t, "clients hardly notice a change while hooks run at different times: "+row.claim, func(t *testing.T) {
			all := s.measure(t, time.Second, func() {
				d.staggered(t, s.standbys(t, ""), time.Second, row.options)
				poll.Until(t, func() bool { return s.changed(row.out) }, time.Minute, 50*time.Millisecond)
				d.settled(t)
			})
			require.Empty(t, all[0].Moves, "the first stays")
			for k, m := range all {
				if row.options["spread"] == "" {
					unnoticed(t, m)
				}
				// A hand-over to a unit of higher priority takes some milliseconds.
				require.Less(t, m.Outage, patience.With(handedOver), "%s", vips[k])
				require.LessOrEqual(t, m.Shared, patience.With(sharedAtMost), "%s", vips[k])
			}
		})
	}
	d.scenario(t, "when the unit that takes all is lost half way, the others serve, and end the change with it", func(t *testing.T) {
		held := s.eachHoldsOne(t)
		all := s.measure(t, time.Second, func() {
			d.held(t, held[2])
			require.NoError(t, d.SetConfig("keepalived", map[string]string{"spread": "false"}))
			poll.Until(t, func() bool { return slices.Equal(s.machines(), []string{held[0], held[0], held[0]}) },
				20*time.Second, 20*time.Millisecond, "one takes all while an agent is away")
			require.NoError(t, d.Kill(d.ctx, held[0]))
		})
		for _, m := range all {
			require.Less(t, m.Outage, patience.With(machineDies))
		}
		d.hold(t, held[2], false)
		require.NoError(t, d.Heal(d.ctx, held[0]))
		poll.Until(t, func() bool { return s.changed(false) }, time.Minute, 50*time.Millisecond)
	})
}

// spread is a deployment with several virtual IPs.
type spread struct {
	*deployment
	vips []netip.Addr
}

// machines lists the machines that hold the virtual IPs; none while one has no holder
// or two.
func (s spread) machines() []string {
	var list []string
	for _, v := range s.vips {
		id, err := s.Holder(v)
		if err != nil {
			return nil
		}
		list = append(list, id)
	}
	return list
}

// eachHoldsOne waits until every machine holds one virtual IP, and tells which.
func (s spread) eachHoldsOne(t *testing.T) []string {
	t.Helper()
	s.settled(t)
	var held []string
	poll.Until(t, func() bool {
		held = s.machines()
		return len(slices.Compact(slices.Sorted(slices.Values(held)))) == len(s.vips)
	}, 20*time.Second, 20*time.Millisecond, "each unit holds one")
	return held
}

// changed tells that a change is over in every unit, and whether the virtual IPs are
// shared out.
func (s spread) changed(out bool) bool {
	for _, unit := range s.units() {
		if m := s.message(unit); strings.Contains(m, "moving to") || strings.Contains(m, "of 3 VIPs") != out {
			return false
		}
	}
	held := slices.Compact(slices.Sorted(slices.Values(s.machines())))
	return len(held) == 3 == out && len(held) > 0
}

// measure probes all virtual IPs around an event.
func (s spread) measure(t *testing.T, rest time.Duration, event func()) []lab.Measurement {
	t.Helper()
	return s.probed(t, rest, event, s.vips...)
}

// untouched requires that clients of some virtual IPs noticed nothing.
func (s spread) untouched(t *testing.T, all []lab.Measurement, which ...int) {
	t.Helper()
	for _, k := range which {
		unnoticed(t, all[k])
	}
}
