package group_test

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"keepalived-charm/internal/group"
	"keepalived-charm/internal/juju"
	"keepalived-charm/internal/vrrp"
)

func parameters(id vrrp.VirtualRouterID) vrrp.Parameters {
	return vrrp.Parameters{Version: 3, Mode: vrrp.Multicast, VirtualRouterID: id, Interval: 200 * time.Millisecond, Anchor: vrrp.Anchor(id, false)}
}

// standby is a unit that serves with what it wants, beside a holder that does too.
func standby() group.View {
	p := parameters(23)
	return group.View{Unit: name(0), Runs: p, Serves: true, Wanted: p, Starts: p, Told: group.Word{Serves: true, Runs: p}, Grouped: true, Planned: 2,
		Accepts: func(vrrp.Parameters) bool { return true }, Peers: []group.Peer{{Unit: name(1), Word: group.Word{Serves: true, Runs: p}}}}
}

// TestWhatAUnitDecides names what the model found, or what nothing else shows as plainly.
func TestWhatAUnitDecides(t *testing.T) {
	old, wanted := parameters(23), parameters(51)
	announcement := group.Announcement{Parameters: wanted, Holder: name(1), Round: 1, Since: 7}
	spread := old
	spread.Spread = true
	// gathering is the end of spread, with all that it waits for.
	gathering := func(v *group.View) {
		own := group.Announcement{Parameters: old, Holder: name(0), Round: 1, Since: 7}
		v.Runs, v.Told.Runs, v.Holds, v.HoldsAll, v.Reign, v.Told.Next = spread, spread, true, true, 7, &own
		v.Peers[0].Runs, v.Peers[0].Aside = spread, own.Aside()
		v.Peers[0].Elsewhere = []group.Word{{Serves: true, Aside: own.Aside()}}
	}
	for claim, c := range map[string]struct {
		change func(*group.View)
		state  group.State
		runs   vrrp.Parameters
		aside  group.Aside
	}{
		"a standby follows": {func(*group.View) {}, group.Following, old, group.TakesPart},
		"a standby goes by what it runs until somebody announces what it wants": {func(v *group.View) { v.Wanted = wanted }, group.Following, old, group.TakesPart},
		"a standby stands aside for an announcement of what it wants": {func(v *group.View) {
			v.Wanted, v.Peers[0].Next, v.Peers[0].Announces = wanted, &announcement, true
		}, group.StandsAside, old, announcement.Aside()},
		"a holder that waits goes on": {func(v *group.View) { v.Wanted, v.Holds = wanted, true }, group.Announcing, old, group.TakesPart},
		"a holder changes over when all stand aside": {func(v *group.View) {
			v.Wanted, v.Holds, v.Reign = wanted, true, 7
			own := group.Announcement{Parameters: wanted, Holder: name(0), Round: 1, Since: 7}
			v.Told.Next, v.Peers[0].Aside = &own, own.Aside()
		}, group.Changing, wanted, group.TakesPart},

		"a holder does not let go for one of a reign before, which it had not read when it announced": {func(v *group.View) {
			v.Wanted, v.Holds, v.Reign, v.Told.Round = wanted, true, 9, 1
			own := group.Announcement{Parameters: wanted, Holder: name(0), Round: 1, Since: 9}
			v.Told.Next, v.Peers[0].Next, v.Peers[0].Announces, v.Peers[0].Round = &own, &announcement, true, 1
		}, group.Announcing, old, group.TakesPart},
		"not in the hook of another unit that departs, which may take part still": {func(v *group.View) {
			v.Wanted, v.Holds, v.Reign, v.Loses = wanted, true, 7, true
			own := group.Announcement{Parameters: wanted, Holder: name(0), Round: 1, Since: 7}
			v.Told.Next, v.Peers[0].Aside = &own, own.Aside()
		}, group.Announcing, old, group.TakesPart},

		"a peer that cannot be read is waited for, as it may not be able to read an announcement": {func(v *group.View) {
			v.Wanted, v.Holds, v.Peers[0].Runs = wanted, true, vrrp.Parameters{}
		}, group.Holding, old, group.TakesPart},
		"also where units that understand each other need no care": {func(v *group.View) {
			v.Wanted.Interval, v.Holds, v.Peers[0].Runs = time.Second, true, vrrp.Parameters{}
		}, group.Holding, old, group.TakesPart},
		"a second holder lets go beside it all the same": {func(v *group.View) {
			v.Wanted, v.Holds, v.Peers[0].Next, v.Peers[0].Announces = wanted, true, &announcement, true
			v.Peers = append(v.Peers, group.Peer{Unit: name(2), Word: group.Word{Serves: true}})
		}, group.StandsAside, old, announcement.Aside()},
		"and does not keep a standby out": {func(v *group.View) { v.Peers[0].Runs = vrrp.Parameters{} }, group.Following, old, group.TakesPart},
		"nor one that stands aside for it, as it may change still": {func(v *group.View) {
			v.Told.Aside, v.Stands = announcement.Aside(), announcement.Aside()
			v.Peers[0].Runs, v.Peers[0].Announces = vrrp.Parameters{}, true
		}, group.StandsAside, old, announcement.Aside()},
		"nor when it announces nothing any more, as it may have changed": {func(v *group.View) {
			v.Told.Aside, v.Stands, v.Peers[0].Runs = announcement.Aside(), announcement.Aside(), vrrp.Parameters{}
			v.Peers = append(v.Peers, group.Peer{Unit: name(2), Word: group.Word{Serves: true, Runs: old}})
		}, group.StandsAside, old, announcement.Aside()},
		"a unit that begins beside it waits for a word that it can read": {func(v *group.View) {
			v.Runs, v.Serves, v.Told, v.Peers[0].Runs = vrrp.Parameters{}, false, group.Word{}, vrrp.Parameters{}
		}, group.Returning, old, group.Agreed},

		"a unit that takes part leaves where others do with other parameters": {func(v *group.View) {
			v.Peers[0].Runs = wanted
		}, group.Returning, old, group.Agreed},
		"a silent one waits for whatever is announced": {func(v *group.View) {
			other := announcement
			other.Parameters = parameters(99)
			v.Told.Aside, v.Peers[0].Next, v.Peers[0].Announces = group.Agreed, &other, true
		}, group.Returning, old, group.Agreed},
		"one that takes part does not": {func(v *group.View) {
			other := announcement
			other.Parameters = parameters(99)
			v.Peers[0].Next, v.Peers[0].Announces = &other, true
		}, group.Following, old, group.TakesPart},
		"a holder that is to take all virtual IPs changes over once it has them": {func(v *group.View) {
			gathering(v)
		}, group.Changing, old, group.TakesPart},
		"not while it lacks some": {func(v *group.View) {
			gathering(v)
			v.HoldsAll = false
		}, group.Announcing, spread, group.TakesPart},
		"nor while another takes part in one of them": {func(v *group.View) {
			gathering(v)
			v.Peers[0].Elsewhere[0].Aside = group.TakesPart
		}, group.Announcing, spread, group.TakesPart},

		"who stands aside for a lost holder waits for those that have not read of it, as others may have changed over": {func(v *group.View) {
			v.Told.Aside, v.Stands = announcement.Aside(), announcement.Aside()
			v.Peers[0].Lost = true
			v.Peers = append(v.Peers, group.Peer{Unit: name(2), Knows: group.Known{1: 1}, Word: group.Word{Serves: true, Runs: old}})
		}, group.StandsAside, old, announcement.Aside()},
		"and takes part with those that have": {func(v *group.View) {
			v.Told.Aside, v.Stands = announcement.Aside(), announcement.Aside()
			v.Peers[0].Lost = true
			v.Peers = append(v.Peers, group.Peer{Unit: name(2), Knows: group.Known{1: 1}, Word: group.Word{Serves: true, Runs: old, Round: 1}})
		}, group.Following, old, group.TakesPart},
		"so does who stands aside for one that departed, which holds until it stops": {func(v *group.View) {
			v.Told.Aside, v.Stands = announcement.Aside(), announcement.Aside()
			v.Peers = []group.Peer{{Unit: name(2), Knows: group.Known{1: 1}, Word: group.Word{Serves: true, Runs: old}}}
		}, group.StandsAside, old, announcement.Aside()},
		"until one that has seen it depart takes part": {func(v *group.View) {
			v.Told.Aside, v.Stands = announcement.Aside(), announcement.Aside()
			v.Peers = []group.Peer{{Unit: name(2), Word: group.Word{Serves: true, Runs: old}}}
		}, group.Following, old, group.TakesPart},
		"nor does its hook let it in where all stand aside: its agent does when the virtual IP is dead": {func(v *group.View) {
			v.Told.Aside, v.Stands, v.Peers[0].Lost = announcement.Aside(), announcement.Aside(), true
		}, group.StandsAside, old, announcement.Aside()},
		"it does as the lost one has done": {func(v *group.View) {
			v.Told.Aside, v.Stands = announcement.Aside(), announcement.Aside()
			v.Peers[0].Lost, v.Peers[0].Runs = true, wanted
		}, group.Following, wanted, group.TakesPart},

		"a unit that begins beside others tells of itself first": {func(v *group.View) {
			v.Runs, v.Serves, v.Told, v.Ignored = vrrp.Parameters{}, false, group.Word{}, true
		}, group.Learning, old, group.Joins},
		"and stays out while some do not know of it": {func(v *group.View) {
			v.Told.Aside, v.Stands, v.Ignored = group.Joins, group.Joins, true
		}, group.Learning, old, group.Joins},
		"whatever it stood aside for meanwhile": {func(v *group.View) {
			v.Told.Aside, v.Stands, v.Ignored = group.Agreed, group.Agreed, true
		}, group.Learning, old, group.Joins},
		"also where nobody serves yet": {func(v *group.View) {
			v.Told.Aside, v.Stands, v.Ignored, v.Peers = group.Joins, group.Joins, true, nil
		}, group.Learning, old, group.Joins},
		"and then takes part":                                {func(v *group.View) { v.Told.Aside, v.Stands = group.Joins, group.Joins }, group.Following, old, group.TakesPart},
		"a unit that takes part waits for nobody who begins": {func(v *group.View) { v.Ignored = true }, group.Following, old, group.TakesPart},

		"a standby that departs is silent at once, as who is left may change over": {func(v *group.View) {
			v.Departs, v.Wanted, v.Peers = true, wanted, nil
		}, group.Departing, old, group.Leaving},
		"a holder that departs changes nothing, alone as it seems": {func(v *group.View) {
			v.Departs, v.Holds, v.Wanted, v.Peers = true, true, wanted, nil
		}, group.Departing, old, group.TakesPart},
		"a unit that departs stays aside": {func(v *group.View) {
			v.Departs, v.Wanted, v.Peers, v.Stands = true, wanted, nil, announcement.Aside()
		}, group.Departing, old, announcement.Aside()},
		"who is left alone changes nothing in the hook that tells so": {func(v *group.View) {
			v.Loses, v.Holds, v.Wanted, v.Peers = true, true, wanted, nil
		}, group.Holding, old, group.TakesPart},
		"nor while one that departs is heard to hold": {func(v *group.View) { v.Hears, v.Wanted, v.Peers = true, wanted, nil }, group.StandsAside, old, group.TakesPart},
		"and then changes over":                       {func(v *group.View) { v.Holds, v.Wanted, v.Peers = true, wanted, nil }, group.Changing, wanted, group.TakesPart},
		"who stands aside for one that departed stays so: it may hold what it announced": {func(v *group.View) {
			v.Wanted, v.Peers, v.Stands = wanted, nil, announcement.Aside()
		}, group.StandsAside, old, announcement.Aside()},

		"who would take part alone waits for those that stand aside with other parameters": {func(v *group.View) {
			v.Told.Aside, v.Peers[0].Runs, v.Peers[0].Aside = group.Joins, wanted, group.Agreed
		}, group.Returning, old, group.Agreed},
		"also where another takes part with its own, which may be gone by now": {func(v *group.View) {
			v.Told.Aside, v.Peers[0].Runs, v.Peers[0].Aside = group.Agreed, wanted, announcement.Aside()
			v.Peers = append(v.Peers, group.Peer{Unit: name(2), Word: group.Word{Serves: true, Runs: old}})
		}, group.Returning, old, group.Agreed},
		"not where a holder is heard whom it understands: nobody takes part on its own meanwhile": {func(v *group.View) {
			v.Told.Aside, v.Heeds = announcement.Aside(), true
			v.Peers = append(v.Peers, group.Peer{Unit: name(2), Word: group.Word{Serves: true, Runs: wanted, Aside: announcement.Aside()}})
			v.Peers[0].Runs, v.Runs, v.Wanted = wanted, wanted, wanted
			v.Peers[1].Runs = old
		}, group.Following, wanted, group.TakesPart},
		"nor in the hook in which it changes over: what it heard was another": {func(v *group.View) {
			v.Told.Aside, v.Stands, v.Heeds, v.Wanted, v.Peers[0].Runs = announcement.Aside(), announcement.Aside(), true, wanted, wanted
			v.Peers = append(v.Peers, group.Peer{Unit: name(2), Word: group.Word{Serves: true, Runs: old, Aside: announcement.Aside()}})
		}, group.Returning, wanted, group.Agreed},
		"a hook killed after its unit booted leaves it as careful": {func(v *group.View) {
			v.Stands, v.Peers[0].Runs = group.Agreed, vrrp.Parameters{}
		}, group.Returning, old, group.Agreed},
	} {
		t.Run(claim, func(t *testing.T) {
			v := standby()
			c.change(&v)
			d := group.Decide(v)
			require.Equal(t, c.state, d.State)
			require.Equal(t, c.runs, d.Run)
			require.Equal(t, c.aside, d.Aside)
		})
	}
}

// TestWordsAreReadAsWritten: and what a later revision adds is told from what is there.
func TestWordsAreReadAsWritten(t *testing.T) {
	a := group.Announcement{Parameters: parameters(51), Holder: name(1), Round: 3, Since: 7}
	told := group.Word{Serves: true, Runs: parameters(23), Next: &a, Announces: true, Round: 3, Aside: group.Agreed}
	bag := juju.Databag{}
	told.Write(bag, 0)
	told.Write(bag, 2)
	require.Equal(t, map[int]group.Word{0: told, 2: told}, group.Routers(bag))

	unread := group.Word{Serves: true, Announces: true, Round: 3, Aside: group.ParseAside("what a later revision says")}
	for claim, change := range map[string]func(juju.Databag){
		"the next protocol": func(b juju.Databag) { b["protocol"], b["aside"] = "2", "elsewhere" },
		"no protocol":       func(b juju.Databag) { delete(b, "protocol"); b["aside"] = "until all units run the same" },
		"a word more": func(b juju.Databag) {
			b["vrrp"] += " colour=red"
			b["next"] += " colour=red"
			b["aside"] = a.String() + " colour=red"
		},
		"garbage": func(b juju.Databag) { b["vrrp"], b["next"], b["aside"] = "\x00{", "}\n", "\n!" },
	} {
		later := juju.Databag{}
		told.Write(later, 0)
		change(later)
		require.Equal(t, unread, group.Routers(later)[0], claim)
		require.True(t, group.Routers(later)[0].Unread(), claim)
	}
	require.False(t, group.Routers(juju.Databag{"protocol": "2"})[0].Serves, "who tells nothing serves nothing")
}

// Each address is looked for among those before it.
func TestOfAUnitsVirtualIPsNoMoreAreReadThanARouterCanHave(t *testing.T) {
	var vips strings.Builder
	a := netip.MustParseAddr("10.0.0.1")
	for range 20_000 {
		vips.WriteString(a.String() + ",")
		a = a.Next()
	}
	w := group.Routers(juju.Databag{"protocol": "1", "vips": vips.String()})[0]
	require.Len(t, w.VirtualIPs, 1000)
}

// FuzzRouters: whatever a databag says, what is read is bounded, and nothing of it but
// what this revision writes gets on.
func FuzzRouters(f *testing.F) {
	f.Add("1", "vrrp", parameters(23).String(), "next-3", "keepalived/0 1 1 "+parameters(23).String())
	f.Add("2", "vrrp-254", "x", "aside", "paused\n}")
	f.Add("", "vrrp-999", "version=3", "round", "99999999999999999999")
	f.Fuzz(func(t *testing.T, protocol, key1, value1, key2, value2 string) {
		for number, w := range group.Routers(juju.Databag{"protocol": protocol, key1: value1, key2: value2}) {
			require.True(t, number >= 0 && number <= 254)
			require.True(t, w.Round >= 0 && w.Round < 1<<30)
			require.Regexp(t, `^[ -~]*$`, w.Aside.Text())
			require.LessOrEqual(t, len(w.Aside.Text()), 400)
			if w.Serves && !w.Unread() {
				p, ok := vrrp.ParseParameters(w.Runs.String())
				require.True(t, ok)
				require.Equal(t, w.Runs, p)
			}
		}
	})
}

// TestARoundThatOneSaysIsReadByAll, whatever a peer said: else none would count any more. Nor is
// the next one ever the same: an answer to the one before would count for it.
func TestARoundThatOneSaysIsReadByAll(t *testing.T) {
	const believed, most = 1 << 30, 1 << 31
	for said, want := range map[[2]int]int{{0, 0}: 1, {0, 7}: 8, {0, believed}: believed + 1, {believed + 1, believed}: believed + 2,
		{believed + 1, most}: believed + 2, {0, believed + 1}: 1, {5, most}: 6} {
		v := standby()
		v.Holds, v.Wanted = true, parameters(51)
		v.Told.Round, v.Peers[0].Round = said[0], said[1]
		d := group.Decide(v)
		require.NotNil(t, d.Next)
		bag := juju.Databag{}
		group.Word{Serves: true, Runs: d.Run, Next: d.Next, Round: d.Round}.Write(bag, 0)
		read := group.Routers(bag)[0]
		require.Equal(t, d.Next, read.Next, said)
		require.Equal(t, want, read.Next.Round)
		require.Equal(t, want, read.Round)
	}
	require.Zero(t, group.Routers(juju.Databag{"protocol": "1", "round": "2147483649"})[0].Round)
}
