package checker

import (
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"keepalived-charm/internal/healthcheck"
	"keepalived-charm/internal/history"
	"keepalived-charm/internal/vrrp"
)

// A stage is a unit of a group with virtual router ID 23 and advertisements each
// 200 ms, in a time of its own.
type stage struct {
	t   *testing.T
	c   chronicle
	now time.Time
}

const (
	ours = vrrp.VirtualRouterID(23)
	one  = "10.10.74.12"
	two  = "10.10.74.13"
)

// newStage begins as holder or standby.
func newStage(t *testing.T, holder bool) *stage {
	s := &stage{t: t, now: time.Unix(1_800_000_000, 0)}
	s.c = newChronicle(healthcheck.Config{Instances: []healthcheck.Instance{{Name: "VI_1", VirtualRouterID: ours}}})
	s.c.hold(0, holder, holder, s.now)
	require.Empty(t, s.c.take())
	return s
}

// hears has a machine send for a while, ending now.
func (s *stage) hears(from string, priority int, lasting time.Duration) *stage {
	for end := s.now.Add(lasting); !s.now.After(end); s.now = s.now.Add(200 * time.Millisecond) {
		s.once(from, priority)
	}
	return s
}

func (s *stage) once(from string, priority int) *stage {
	s.c.advert(advert{from: netip.MustParseAddr(from), id: ours, priority: vrrp.Priority(priority), interval: 200 * time.Millisecond}, s.now)
	return s
}

func (s *stage) wait(d time.Duration) *stage {
	s.now = s.now.Add(d)
	s.c.expire(s.now)
	return s
}

func (s *stage) holds(holder bool) *stage {
	s.c.hold(0, holder, false, s.now)
	return s
}

// tells requires one entry, of what happened at the time of the call to holds.
func (s *stage) tells(event history.Event, cause, peer string) {
	s.t.Helper()
	require.Empty(s.t, s.c.ready, "it is told when it has settled")
	entries := s.wait(2 * settleMove).c.take()
	require.Len(s.t, entries, 1)
	require.Equal(s.t, []any{event, cause, peer}, []any{entries[0].Event, entries[0].Cause, entries[0].Peer})
}

func TestWhyAUnitBecomesHolder(t *testing.T) {
	newStage(t, false).hears(one, 254, time.Second).wait(500*time.Millisecond).holds(true).
		tells(history.BecameHolder, one+" went silent, last heard 0.70 s before", one)
	newStage(t, false).hears(one, 254, time.Second).once(one, 0).wait(50*time.Millisecond).holds(true).
		tells(history.BecameHolder, one+" handed over (priority 0)", one)
	sick := int(vrrp.Base(1)) + vrrp.HolderWeight
	newStage(t, false).hears(one, sick, time.Second).holds(true).
		tells(history.BecameHolder, one+" lowered its priority to 92: it hands over, or its check fails", one)
	newStage(t, false).hears(one, int(vrrp.Base(1))+vrrp.HealthyWeight, time.Second).holds(true).
		tells(history.BecameHolder, one+" had a lower priority (192)", one)
	newStage(t, false).holds(true).tells(history.BecameHolder, "no other holder was heard", "")
	unheard := newStage(t, false)
	unheard.c.instances[0].id = 0
	unheard.holds(true).tells(history.BecameHolder, history.Unknown, "")
	// One that held long ago has no part in it.
	later := newStage(t, false).hears(two, 204, time.Second).once(two, 0).wait(time.Minute).hears(one, 254, 2*settleMove).wait(600 * time.Millisecond)
	require.Len(t, later.c.take(), 1)
	later.holds(true).tells(history.BecameHolder, one+" went silent, last heard 0.80 s before", one)
}

func TestWhyAUnitBecomesStandby(t *testing.T) {
	newStage(t, true).hears(one, 254, 200*time.Millisecond).holds(false).
		tells(history.BecameStandby, one+" took over with priority 254", one)
	newStage(t, true).holds(false).tells(history.BecameStandby, history.Unknown, "")
	// A machine that is busy sees late that the address went.
	newStage(t, true).hears(one, 254, 200*time.Millisecond).wait(800*time.Millisecond).holds(false).
		tells(history.BecameStandby, one+" took over with priority 254", one)
	newStage(t, true).hears(one, 254, 200*time.Millisecond).wait(3*time.Second).holds(false).
		tells(history.BecameStandby, history.Unknown, "")
	// Whom this unit took over from moments ago did not take it back.
	quick := newStage(t, false).hears(one, 254, time.Second).wait(500 * time.Millisecond).holds(true).wait(100 * time.Millisecond).holds(false)
	quick.c.take()
	quick.wait(0).tells(history.BecameStandby, history.Unknown, "")
	s := newStage(t, true)
	s.c.sick = "connection refused"
	s.holds(false).hears(one, 200, 300*time.Millisecond).tells(history.BecameStandby, "own check failed: connection refused", "")
	s = newStage(t, true)
	s.c.asked = s.now
	s.wait(20*time.Millisecond).holds(false).tells(history.BecameStandby, "an operator's failover", "")
	s = newStage(t, true)
	s.c.asked = s.now
	s.wait(time.Minute).holds(false).tells(history.BecameStandby, history.Unknown, "")
	s = newStage(t, true)
	s.c.down = []string{"eth0"}
	s.holds(false).tells(history.BecameStandby, "interface eth0 is down", "")
	s = newStage(t, true)
	s.c.instances[0].aside = "paused by an operator"
	s.holds(false).tells(history.BecameStandby, "stands aside: paused by an operator", "")
}

func TestWhoTookOverIsToldWhenItIsHeard(t *testing.T) {
	s := newStage(t, true).holds(false).wait(300 * time.Millisecond)
	s.hears(two, 203, settleMove)
	entries := s.wait(0).c.take()
	require.Len(t, entries, 1)
	require.Equal(t, two, entries[0].Peer)
	// From then on it is the holder that others follow.
	s.once(two, 0).wait(50*time.Millisecond).once(one, 254)
	entries = s.hears(one, 254, 2*settleMove).wait(0).c.take()
	require.Len(t, entries, 1)
	require.Equal(t, []any{history.HolderChanged, two + " handed over (priority 0)", one},
		[]any{entries[0].Event, entries[0].Cause, entries[0].Peer})
}

func TestMovesOfOthersAreSeen(t *testing.T) {
	newMove := func(prepare func(*stage)) history.Entry {
		s := newStage(t, false).hears(one, 92, time.Second)
		prepare(s)
		s.hears(two, 254, 2*settleMove).wait(0)
		entries := s.c.take()
		require.Len(t, entries, 1)
		require.Equal(t, history.HolderChanged, entries[0].Event)
		require.Equal(t, two, entries[0].Peer)
		return entries[0]
	}
	require.Equal(t, one+" lowered its priority to 92: it hands over, or its check fails", newMove(func(*stage) {}).Cause)
	require.Equal(t, one+" went silent, last heard 0.80 s before", newMove(func(s *stage) { s.wait(600 * time.Millisecond) }).Cause)
	require.Equal(t, one+" handed over (priority 0)", newMove(func(s *stage) { s.once(one, 0) }).Cause)
	// Two that send for a moment are no move when the first one stays.
	s := newStage(t, false).hears(one, 254, time.Second).once(two, 203)
	s.hears(one, 254, 3*settleMove).wait(0)
	require.Empty(t, s.c.take())
}

func TestWhatHappenedWhileNoCheckerRanIsTold(t *testing.T) {
	for holder, event := range map[bool]history.Event{true: history.BecameHolder, false: history.BecameStandby} {
		s := newStage(t, false)
		s.c.instances[0].begun = false
		s.c.hold(0, holder, !holder, s.now)
		entries := s.c.take()
		require.Len(t, entries, 1)
		require.Equal(t, event, entries[0].Event)
		require.Contains(t, entries[0].Cause, "unknown: the health checker was not running")
	}
	s := newStage(t, true).holds(false)
	s.c.finish(s.now)
	require.Len(t, s.c.take(), 1, "the end does not wait")
}

func TestStrangersDoNotFillTheMemory(t *testing.T) {
	s := newStage(t, false)
	for n := range 200 {
		s.wait(time.Millisecond).once(netip.AddrFrom4([4]byte{10, 0, 0, byte(n)}).String(), 100)
	}
	require.Len(t, s.c.heard(s.now), mostSenders)
	s.c.advert(advert{from: netip.MustParseAddr(one), id: 99, priority: 254}, s.now)
	for _, h := range s.c.heard(s.now) {
		require.NotEqual(t, one, h.Address.String(), "another virtual router")
	}
}

// TestStrangersAreToldApart: by what they advertise. The last word is whether a unit
// holds beside it.
func TestStrangersAreToldApart(t *testing.T) {
	s := newStage(t, false)
	say := func(from string, priority int, address string) {
		s.c.advert(advert{from: netip.MustParseAddr(from), id: ours, priority: vrrp.Priority(priority), interval: 200 * time.Millisecond,
			addresses: []netip.Addr{netip.MustParseAddr(address)}}, s.now)
	}
	told := func() string { return s.c.strangers(s.now) }
	s.c.instances[0].addresses = []netip.Addr{netip.MustParseAddr("10.10.74.250")}
	say(one, 254, vrrp.Anchor(ours, false).String())
	say(two, 100, "10.10.74.250")
	require.Empty(t, told(), "units of both charms")
	say("10.10.74.99", 255, "10.10.74.222")
	require.Equal(t, "VI_1 10.10.74.99 true", told())
	for range 4 {
		s.wait(time.Second)
		say("10.10.74.99", 255, "10.10.74.222")
	}
	require.Equal(t, "VI_1 10.10.74.99 false", told(), "the units are silent")
	require.False(t, s.c.instances[0].heard.since(s.now.Add(-time.Second)), "a stranger is no sign of life of a virtual IP")
	for _, h := range s.c.heard(s.now) {
		require.Equal(t, h.Address.String() == "10.10.74.99", h.Foreign && h.Speaks, h)
	}
	say("10.10.74.99", 0, "10.10.74.222")
	require.Empty(t, told())
	say("10.10.74.99", 255, "10.10.74.222")
	s.wait(strangerLately)
	require.Empty(t, told())
	s.c.near = func(link int) bool { return link == 2 }
	s.c.advert(advert{from: netip.MustParseAddr("10.10.75.99"), id: ours, priority: 255, interval: time.Second, link: 3}, s.now)
	require.Empty(t, told(), "another segment")
}

func TestAdvertisementsOfBothVersionsAreRead(t *testing.T) {
	for claim, c := range map[string]struct {
		packet []byte
		want   advert
		ok     bool
	}{
		"version 3": {[]byte{0x31, 23, 254, 1, 0, 20, 0, 0, 10, 0, 0, 1}, advert{id: 23, version: 3, priority: 254, interval: 200 * time.Millisecond,
			addresses: []netip.Addr{netip.MustParseAddr("10.0.0.1")}}, true},
		"one that ends amid its addresses": {[]byte{0x31, 23, 254, 2, 0, 20, 0, 0, 10, 0, 0, 1, 10}, advert{id: 23, version: 3, priority: 254, interval: 200 * time.Millisecond,
			addresses: []netip.Addr{netip.MustParseAddr("10.0.0.1")}}, true},
		"12 bits of it": {[]byte{0x31, 23, 0, 1, 0xff, 0xff, 0, 0}, advert{id: 23, version: 3, interval: 40950 * time.Millisecond}, true},
		"version 2":     {[]byte{0x21, 23, 101, 1, 0, 1, 0, 0}, advert{id: 23, version: 2, priority: 101, interval: time.Second}, true},
		"version 2 with a password": {[]byte("\x21\x17\x65\x01\x01\x01\x00\x00\x0a\x00\x00\x01secret\x00\x00"), advert{id: 23, version: 2, auth: vrrp.Fingerprint("secret"), priority: 101, interval: time.Second,
			addresses: []netip.Addr{netip.MustParseAddr("10.0.0.1")}}, true},
		"version 2 with half a password":      {[]byte("\x21\x17\x65\x00\x01\x01\x00\x00secr"), advert{id: 23, version: 2, auth: otherAuth, priority: 101, interval: time.Second}, true},
		"version 2 with an IPsec header (AH)": {[]byte("\x21\x17\x65\x00\x02\x01\x00\x00secret\x00\x00"), advert{id: 23, version: 2, auth: otherAuth, priority: 101, interval: time.Second}, true},
		"another type":                        {[]byte{0x32, 23, 254, 1, 0, 20, 0, 0}, advert{}, false},
		"another version":                     {[]byte{0x41, 23, 254, 1, 0, 20, 0, 0}, advert{}, false},
		"no virtual router":                   {[]byte{0x31, 0, 254, 1, 0, 20, 0, 0}, advert{}, false},
		"too short":                           {[]byte{0x31, 23, 254, 1, 0, 20, 0}, advert{}, false},
	} {
		a, ok := parseAdvert(c.packet, false)
		require.Equal(t, c.ok, ok, claim)
		if ok {
			require.Equal(t, c.want, a, claim)
		}
	}
}

func FuzzAdvertisements(f *testing.F) {
	f.Add([]byte{0x31, 23, 254, 1, 0, 20, 0, 0}, false)
	f.Fuzz(func(t *testing.T, packet []byte, six bool) {
		if a, ok := parseAdvert(packet, six); ok && (a.id < 1 || a.interval < 0 || a.priority > 255) {
			t.Errorf("%v", a)
		}
	})
}

// TestWhatKeepalivedDropsIsNotBelieved: an advertisement of another version, or with another
// password, tells of a stranger and of nothing else. A unit that stands aside takes all: it
// may do so until the others have changed over.
func TestWhatKeepalivedDropsIsNotBelieved(t *testing.T) {
	anchor := []netip.Addr{vrrp.Anchor(ours, false)}
	mine := vrrp.Fingerprint("secret")
	for claim, row := range map[string]struct {
		version int
		auth    string
		sent    advert
		aside   string
		taken   bool
	}{
		"its version":                          {3, "", advert{version: 3}, "", true},
		"another version":                      {3, "", advert{version: 2}, "", false},
		"another version, by one aside":        {3, "", advert{version: 2}, "until others follow", true},
		"its password":                         {2, mine, advert{version: 2, auth: mine}, "", true},
		"another password":                     {2, mine, advert{version: 2, auth: vrrp.Fingerprint("other")}, "", false},
		"another password, by one aside":       {2, mine, advert{version: 2, auth: vrrp.Fingerprint("other")}, "until others follow", true},
		"no password":                          {2, mine, advert{version: 2}, "", false},
		"a password where there is none":       {2, "", advert{version: 2, auth: mine}, "", false},
		"another kind of authentication":       {2, mine, advert{version: 2, auth: otherAuth}, "", false},
		"a configuration that says no version": {0, "", advert{version: 2, auth: mine}, "", true},
	} {
		s := newStage(t, false)
		k := &s.c.instances[0]
		k.version, k.auth, k.aside = row.version, row.auth, row.aside
		a := row.sent
		a.from, a.id, a.priority, a.interval, a.addresses = netip.MustParseAddr(one), ours, 254, 200*time.Millisecond, anchor
		s.c.advert(a, s.now)
		require.Equal(t, row.taken, k.heard.since(s.now.Add(-time.Second)), claim)
		require.Equal(t, row.taken, k.other.IsValid(), claim)
		require.Equal(t, row.taken, s.c.strangers(s.now) == "", claim)
		require.Len(t, s.c.heard(s.now), 1, claim)
		require.Equal(t, !row.taken, s.c.heard(s.now)[0].Foreign, claim)
		s.holds(true)
		entries := s.wait(2 * settleMove).c.take()
		require.Equal(t, row.taken, entries[0].Peer != "", claim)
		// One who changes over is one sender still.
		k.version, k.auth = a.version, a.auth
		s.c.advert(a, s.now)
		require.Len(t, s.c.heard(s.now), 1, claim)
		require.False(t, s.c.heard(s.now)[0].Foreign, claim)
	}
}
