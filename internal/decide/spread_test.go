package decide_test

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"keepalived-charm/internal/applied"
	"keepalived-charm/internal/config"
	"keepalived-charm/internal/conflict"
	"keepalived-charm/internal/decidetest"
	"keepalived-charm/internal/endpoint"
	"keepalived-charm/internal/facts"
	"keepalived-charm/internal/group"
	"keepalived-charm/internal/healthcheck"
	"keepalived-charm/internal/juju"
	"keepalived-charm/internal/keepalived"
	"keepalived-charm/internal/vrrp"
)

// spreading is a unit whose virtual IPs are shared out, and what it runs.
func spreading(vips string, runs applied.Record) facts.Observed {
	o := decidetest.Observed()
	o.Options.Raw["virtual_ip"], o.Options.Raw["spread"] = vips, true
	o.Machine.DefaultInterface6 = "eth0"
	o.Machine.Applied = runs
	return o
}

// routers lists the virtual IPs of each instance that a unit is to have.
func routers(t *testing.T, o facts.Observed) (list []string) {
	t.Helper()
	d, err := decidetest.Desire(o)
	require.NoError(t, err)
	for _, c := range keepalived.Instances(d.Files[d.Layout.Fragment()]) {
		words := []string{c.Name + " " + fmt.Sprint(c.VirtualRouterID)}
		for _, a := range c.Addresses {
			if !vrrp.IsAnchor(a) {
				words = append(words, a.String())
			}
		}
		list = append(list, strings.Join(words, " "))
	}
	return list
}

// TestNumbersThatNoUnitCanHaveAreNotBelieved: a peer's word blocks nobody.
func TestNumbersThatNoUnitCanHaveAreNotBelieved(t *testing.T) {
	const first = "version=3 mode=multicast vrid=23 interval=200ms anchor=169.254.23.112 spread=true"
	several := juju.Databag{}
	for n := 1; n < 255; n++ {
		several[fmt.Sprint("vips-", n)] = "10.10.75." + fmt.Sprint(n)
		several[fmt.Sprint("vrrp-", n)] = "x"
	}
	for claim, bag := range map[string]juju.Databag{
		"beyond the last ID":             {"vips-254": "10.10.74.251", "vrrp-254": "version=3 mode=multicast vrid=30 interval=200ms anchor=169.254.30.112"},
		"of a router that nobody serves": {"vips-200": "10.10.74.251"},
		"all, which cannot be read":      several,
	} {
		o := spreading("10.10.74.250 10.10.74.251", applied.Record{})
		bag["principal"], bag["protocol"], bag["vrrp"] = "haproxy/1", "1", first
		o.Relations[2].Members[juju.Unit{Application: "keepalived", Number: 1}] = facts.ReadMember(bag)
		require.Equal(t, []string{"charm_keepalived 23 10.10.74.250", "charm_keepalived_1 24 10.10.74.251"}, routers(t, o), claim)
	}
}

func TestEachVirtualIPHasAnInstance(t *testing.T) {
	const a, b, c, d = "10.10.74.250", "10.10.74.251", "10.10.74.252", "10.10.74.253"
	three, none := decidetest.Record(t, spreading(a+" "+b+" "+c, applied.Record{})), applied.Record{}
	for claim, s := range map[string]struct {
		vips string
		runs applied.Record
		want []string
	}{
		"in the operator's order": {c + " " + a, none, []string{"charm_keepalived 23 " + c, "charm_keepalived_1 24 " + a}},
		"pairs of both families": {a + " 2001:db8::1 " + b + " 2001:db8::2 2001:db8::3", none,
			[]string{"charm_keepalived 23 " + a + " 2001:db8::1", "charm_keepalived_1 24 " + b + " 2001:db8::2", "charm_keepalived_2 25 2001:db8::3"}},
		"kept in another order":         {c + " " + b + " " + a, three, []string{"charm_keepalived 23 " + a, "charm_keepalived_1 24 " + b, "charm_keepalived_2 25 " + c}},
		"kept when one goes":            {a + " " + c, three, []string{"charm_keepalived 23 " + a, "charm_keepalived_2 25 " + c}},
		"kept when the first goes":      {b + " " + c, three, []string{"charm_keepalived 23", "charm_keepalived_1 24 " + b, "charm_keepalived_2 25 " + c}},
		"another takes no place in use": {a + " " + b + " " + d, three, []string{"charm_keepalived 23 " + a, "charm_keepalived_1 24 " + b, "charm_keepalived_3 26 " + d}},
	} {
		t.Run(claim, func(t *testing.T) {
			require.Equal(t, s.want, routers(t, spreading(s.vips, s.runs)))
		})
	}
}

func TestAPlaceThatAPeerUsesIsKept(t *testing.T) {
	o := spreading("10.10.74.252 10.10.74.250", applied.Record{})
	peer := endpoint.Member{Principal: juju.Unit{Application: "haproxy", Number: 1}, Rank: 1, Word: running(t, 23, true, "10.10.74.250"),
		More: map[int]group.Word{2: running(t, 25, false, "10.10.74.252")}}
	o.Relations[2].Members[juju.Unit{Application: "keepalived", Number: 1}] = facts.ReadMember(peer.Databag())
	require.Equal(t, []string{"charm_keepalived 23 10.10.74.250", "charm_keepalived_2 25 10.10.74.252"}, routers(t, o))
}

// TestARouterIsThatOfWhomMostTell, and of one virtual IP of a family: units that run hooks for
// two changes of the list at once may give it two, or a new virtual IP two routers.
func TestARouterIsThatOfWhomMostTell(t *testing.T) {
	const a, b, c, d = "10.10.74.250", "10.10.74.251", "10.10.74.252", "10.10.74.253"
	two := decidetest.Record(t, spreading(a+" "+b, applied.Record{}))
	for claim, s := range map[string]struct {
		vips string
		runs applied.Record
		told []map[int]string // by each peer, beside what all tell of the first router
		want []string
	}{
		"two peers, against one":            {a + " " + b, applied.Record{}, []map[int]string{{1: b}, {2: b}, {2: b}}, []string{"charm_keepalived 23 " + a, "charm_keepalived_2 25 " + b}},
		"this unit among them":              {a + " " + b, two, []map[int]string{{1: b}, {2: b}}, []string{"charm_keepalived 23 " + a, "charm_keepalived_1 24 " + b}},
		"as many: the lower number":         {a + " " + b, two, []map[int]string{{2: b}}, []string{"charm_keepalived 23 " + a, "charm_keepalived_1 24 " + b}},
		"as many, and this one moves":       {a + " " + c + " " + b, decidetest.Record(t, spreading(a+" "+c+" "+b, applied.Record{})), []map[int]string{{1: b}}, []string{"charm_keepalived 23 " + a, "charm_keepalived_1 24 " + b, "charm_keepalived_3 26 " + c}},
		"another has it: the lower one's":   {a + " " + b + " " + d, two, []map[int]string{{1: d}}, []string{"charm_keepalived 23 " + a, "charm_keepalived_1 24 " + b, "charm_keepalived_2 25 " + d}},
		"whose other one is listed no more": {a + " " + d, applied.Record{}, []map[int]string{{1: b}, {1: b}, {1: d}}, []string{"charm_keepalived 23 " + a, "charm_keepalived_1 24 " + d}},
		"of two in one word neither":        {a + " " + b + " " + d, applied.Record{}, []map[int]string{{1: b + "," + d}, {3: d}}, []string{"charm_keepalived 23 " + a, "charm_keepalived_2 25 " + b, "charm_keepalived_3 26 " + d}},
	} {
		t.Run(claim, func(t *testing.T) {
			o := spreading(s.vips, s.runs)
			for n, told := range s.told {
				peer := endpoint.Member{Principal: juju.Unit{Application: "haproxy", Number: n + 1}, Rank: n + 1, Word: running(t, 23, true, a), More: map[int]group.Word{}}
				for number, vips := range told {
					peer.More[number] = running(t, 23+number, false, vips)
				}
				o.Relations[2].Members[juju.Unit{Application: "keepalived", Number: n + 1}] = facts.ReadMember(peer.Databag())
			}
			require.Equal(t, s.want, routers(t, o))
		})
	}
}

// TestWhoJoinsRoutersTakesThoseThatThereAre: their numbers may have holes.
func TestWhoJoinsRoutersTakesThoseThatThereAre(t *testing.T) {
	three := decidetest.Record(t, spreading("10.10.74.250 10.10.74.251 10.10.74.252", applied.Record{}))
	o := decidetest.Typed(spreading("10.10.74.250 10.10.74.252", three))
	d, err := decidetest.Desire(o)
	require.NoError(t, err)
	o.Look = &conflict.Look{}
	require.Equal(t, []vrrp.VirtualRouterID{23, 25}, d.View(o).Routers)
}

// TestWhoCannotFollowYetStandsAside: its other virtual router has the ID still that the
// others run this one with, and this unit holds it.
func TestWhoCannotFollowYetStandsAside(t *testing.T) {
	const a, b = "10.10.74.250", "10.10.74.251"
	o := spreading(a+" "+b, decidetest.Record(t, spreading(a+" "+b, applied.Record{})))
	o.Options.Raw["router_id"] = 24
	o.Machine.Interfaces = append(o.Machine.Interfaces, facts.Interface{Name: "lo", Up: true, Addresses: []netip.Prefix{netip.MustParsePrefix("169.254.24.112/32")}})
	o.Relations[2].Told = endpoint.Member{Principal: o.Event.Principal, Word: running(t, 23, true, a), Knows: group.Known{0: 1, 1: 1},
		More: map[int]group.Word{1: running(t, 24, false, b)}}
	peer := endpoint.Member{Principal: juju.Unit{Application: "haproxy", Number: 1}, Rank: 1, Word: running(t, 24, true, a), Knows: group.Known{0: 1, 1: 1},
		More: map[int]group.Word{2: running(t, 25, false, "10.10.74.252")}} // so the other one has to wait
	o.Relations[2].Members[juju.Unit{Application: "keepalived", Number: 1}] = facts.ReadMember(peer.Databag())
	d, err := decidetest.Desire(o)
	require.NoError(t, err)
	var ids []vrrp.VirtualRouterID
	for _, r := range d.Routers {
		ids = append(ids, r.Run.VirtualRouterID)
	}
	require.Equal(t, []vrrp.VirtualRouterID{23, 24}, ids)
	require.Equal(t, group.Agreed, d.Routers[0].Aside)
	require.Equal(t, "eth0", d.Watch.Instances[0].WatchLink, "where its own virtual IP is")
	require.Zero(t, d.Watch.Instances[0].DeadAfter)
	o.Options.Raw["advert_interval"] = 1
	d, err = decidetest.Desire(o)
	require.NoError(t, err)
	require.Equal(t, healthcheck.Duration(5*time.Second), d.Watch.Instances[0].DeadAfter, "a failover of those that advertise each second is over then")
}

// running is what a peer tells of a router.
func running(t *testing.T, id int, spread bool, vip string) group.Word {
	t.Helper()
	p, ok := vrrp.ParseParameters(fmt.Sprintf("version=3 mode=multicast vrid=%d interval=200ms anchor=169.254.%d.112", id, id))
	require.True(t, ok)
	p.Spread = spread
	return endpoint.ReadMember(juju.Databag{"protocol": "1", "vrrp": p.String(), "vips": vip}).Word
}

func TestVirtualRouterIDsThatRunOutAreRefused(t *testing.T) {
	o := spreading("10.10.74.250 10.10.74.251 10.10.74.252", applied.Record{})
	o.Options.Raw["router_id"] = 254
	_, err := decidetest.Desire(o)
	var invalid *config.Invalid
	require.ErrorAs(t, err, &invalid)
	require.Equal(t, `option router_id is "254", must be 253 at most: spread gives each virtual IP a virtual router ID, counting up to 255`, err.Error())
}

// TestOneVirtualRouterIsAsEver: without spread nothing tells of it.
func TestOneVirtualRouterIsAsEver(t *testing.T) {
	o := decidetest.Observed()
	o.Options.Raw["virtual_ip"] = "10.10.74.250 10.10.74.251"
	d, err := decidetest.Desire(o)
	require.NoError(t, err)
	for path, text := range d.Files {
		if path == d.Layout.Record() {
			continue // it lists all options
		}
		require.NotContains(t, text, "spread", path)
		require.NotContains(t, text, "keepalived_1", path)
	}
	for key, value := range d.Publish["cluster:1"] {
		require.NotContains(t, value, "spread")
		require.False(t, slices.Contains([]string{"vips", "vrrp-1"}, key) && value != "", key)
	}
}
