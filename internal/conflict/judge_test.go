package conflict_test

import (
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"keepalived-charm/internal/conflict"
	"keepalived-charm/internal/vrrp"
)

const (
	vip        = "10.10.74.250"
	peerMAC    = "52:54:00:74:00:0c"
	strangeMAC = "52:54:00:74:00:63"
)

var (
	peer    = conflict.Host{Address: netip.MustParseAddr("10.10.74.12"), MAC: peerMAC}
	strange = conflict.Host{Address: netip.MustParseAddr("10.10.74.99"), MAC: strangeMAC}
)

func parameters() vrrp.Parameters {
	return vrrp.Parameters{Version: 3, Mode: vrrp.Multicast, VirtualRouterID: 23, Interval: 200 * time.Millisecond, Anchor: vrrp.Anchor(23, false)}
}

// view is a unit of two that serves nothing yet.
func view(change func(*conflict.View)) conflict.View {
	runs := parameters()
	v := conflict.View{Runs: runs, Interface: "eth0", Routers: []vrrp.VirtualRouterID{23}, VirtualIPs: []netip.Addr{netip.MustParseAddr(vip)},
		Listened: 1200 * time.Millisecond,
		Peers:    []conflict.Peer{{Name: "keepalived/1", Addresses: []netip.Addr{peer.Address}, MACs: []string{peerMAC}, Runs: &runs, Routers: []vrrp.VirtualRouterID{23}}}}
	change(&v)
	return v
}

func as(*conflict.View) {}

// master holds the virtual IP, follower hears who does.
func master(v *conflict.View)   { v.Held = v.VirtualIPs }
func follower(v *conflict.View) { v.Followed = v.VirtualIPs }

func advertised(by conflict.Host, id vrrp.VirtualRouterID) conflict.Heard {
	return conflict.Heard{Interface: "eth0", Sender: by, Delivered: true,
		Advertisement: vrrp.Advertisement{Version: 3, VirtualRouterID: id, Priority: 254, Interval: time.Second}}
}

func answered(address string, by conflict.Host) conflict.Answer {
	by.Address = netip.Addr{}
	return conflict.Answer{Interface: "eth0", Address: netip.MustParseAddr(address), By: by, Last: true}
}

func look(parts ...any) conflict.Look {
	var l conflict.Look
	for _, p := range parts {
		switch p := p.(type) {
		case conflict.Heard:
			l.Heard = append(l.Heard, p)
		case conflict.Answer:
			l.Answers = append(l.Answers, p)
		}
	}
	return l
}

func TestStrangersAreToldFromPeers(t *testing.T) {
	unnamed := func(v *conflict.View) { v.Peers[0].MACs = nil }
	untold := func(v *conflict.View) { v.Peers[0].Runs, v.Peers[0].Routers = nil, nil }
	for claim, c := range map[string]struct {
		view func(*conflict.View)
		look conflict.Look
		want []conflict.Kind
	}{
		"silence":                                      {as, look(), nil},
		"a stranger's advertisement":                   {as, look(advertised(strange, 23)), []conflict.Kind{conflict.RouterTaken}},
		"of another virtual router":                    {as, look(advertised(strange, 24)), nil},
		"of one that spread takes":                     {func(v *conflict.View) { v.Routers = append(v.Routers, 24) }, look(advertised(strange, 24)), []conflict.Kind{conflict.RouterTaken}},
		"on another interface":                         {as, look(func() conflict.Heard { h := advertised(strange, 23); h.Interface = "eth1"; return h }()), nil},
		"over the other family":                        {as, look(advertised(conflict.Host{Address: netip.MustParseAddr("fe80::1")}, 23)), nil},
		"while only peers are listened to":             {func(v *conflict.View) { v.Runs.Mode = vrrp.Unicast }, look(advertised(strange, 23)), nil},
		"while units are not known yet":                {func(v *conflict.View) { v.Incomplete = true }, look(advertised(strange, 23)), []conflict.Kind{conflict.RouterMaybeTaken}},
		"from the machine of a peer that told nothing": {untold, look(advertised(peer, 23)), []conflict.Kind{conflict.RouterMaybeTaken}},
		"from the machine of a peer that told another": {func(v *conflict.View) { v.Peers[0].Routers[0] = 24 }, look(advertised(peer, 23)), []conflict.Kind{conflict.RouterMaybeTaken}},
		"whom this unit follows": {func(v *conflict.View) { untold(v); v.Estranged = true }, look(advertised(peer, 23)),
			[]conflict.Kind{conflict.RouterTaken}},
		"a virtual IP on the machine of a peer that told nothing": {untold, look(answered(vip, peer)), []conflict.Kind{conflict.AddressMaybeTaken}},
		"a virtual IP that this unit has too":                     {func(v *conflict.View) { untold(v); master(v) }, look(answered(vip, peer)), []conflict.Kind{conflict.AddressTaken}},
		"a peer's advertisement":                                  {as, look(advertised(peer, 23)), nil},
		"from a peer's link-local address":                        {as, look(advertised(conflict.Host{Address: netip.MustParseAddr("169.254.3.3"), MAC: peerMAC}, 23)), nil},
		"the same, as the segment tells": {unnamed, look(answered("10.10.74.12", peer),
			advertised(conflict.Host{Address: netip.MustParseAddr("169.254.3.3"), MAC: peerMAC}, 23)), nil},
		"a stranger with the virtual IP": {as, look(answered(vip, strange)), []conflict.Kind{conflict.AddressTaken}},
		"maybe a unit":                   {func(v *conflict.View) { v.Incomplete = true }, look(answered(vip, strange)), []conflict.Kind{conflict.AddressMaybeTaken}},
		"a stranger with another":        {as, look(answered("10.10.74.251", strange)), nil},
		"a peer that is heard":           {as, look(answered(vip, peer), advertised(peer, 23)), nil},
		"a peer whom the segment names":  {unnamed, look(answered("10.10.74.12", peer), answered(vip, peer), advertised(peer, 23)), nil},
		"both at once": {as, look(answered(vip, strange), advertised(strange, 23)),
			[]conflict.Kind{conflict.RouterTaken, conflict.AddressTaken}},
	} {
		t.Run(claim, func(t *testing.T) {
			var kinds []conflict.Kind
			for _, f := range conflict.Judge(view(c.view), c.look) {
				kinds = append(kinds, f.Kind)
			}
			require.Equal(t, c.want, kinds)
		})
	}
}

func TestAHolderThatIsNotHeardIsToldWithTheReason(t *testing.T) {
	dropped := advertised(peer, 23)
	dropped.Delivered = false
	early := answered(vip, peer)
	early.Last = false
	for claim, c := range map[string]struct {
		view func(*conflict.View)
		look conflict.Look
		kind conflict.Kind
		path conflict.Path
		none bool
	}{
		"lost on the way": {as, look(answered(vip, peer)), conflict.HolderUnheard, conflict.Lost, false},
		"dropped here":    {as, look(answered(vip, peer), dropped), conflict.HolderUnheard, conflict.Dropped, false},
		"it is heard for another virtual router": {func(v *conflict.View) { v.Peers[0].Routers = []vrrp.VirtualRouterID{23, 25} }, look(answered(vip, peer), advertised(peer, 25)),
			0, 0, true},
		"another of the machine's is heard":          {as, look(answered(vip, peer), advertised(peer, 25)), conflict.HolderUnheard, conflict.Lost, false},
		"a standby hears it":                         {follower, look(answered(vip, peer)), 0, 0, true},
		"unicast comes to who is listed":             {func(v *conflict.View) { v.Peers[0].Runs.Mode = vrrp.Unicast }, look(answered(vip, peer)), 0, 0, true},
		"it advertises more rarely than we listened": {func(v *conflict.View) { v.Peers[0].Runs.Interval = time.Second }, look(answered(vip, peer)), 0, 0, true},
		"it runs another virtual router":             {func(v *conflict.View) { v.Peers[0].Runs.VirtualRouterID = 24 }, look(answered(vip, peer)), 0, 0, true},
		"two hold, nothing arrives":                  {master, look(answered(vip, peer)), conflict.TwoHolders, conflict.Lost, false},
		"two hold, dropped here":                     {master, look(answered(vip, peer), dropped), conflict.TwoHolders, conflict.Dropped, false},
		"two hold, ours do not arrive there":         {master, look(answered(vip, peer), advertised(peer, 23)), conflict.TwoHolders, conflict.Arrives, false},
		"two hold, each with parameters of its own":  {func(v *conflict.View) { master(v); v.Peers[0].Runs.Mode = vrrp.Unicast }, look(answered(vip, peer), advertised(peer, 23)), conflict.TwoHolders, conflict.Apart, false},
		"it has just let go":                         {master, look(early), 0, 0, true},
	} {
		t.Run(claim, func(t *testing.T) {
			found := conflict.Judge(view(c.view), c.look)
			if c.none {
				require.Empty(t, found)
				return
			}
			require.Len(t, found, 1)
			require.Equal(t, c.kind, found[0].Kind)
			require.Equal(t, c.path, found[0].Path)
			require.Equal(t, "keepalived/1", found[0].Peer)
			require.Equal(t, vip, found[0].Address.String())
		})
	}
}

func TestAStrangerIsNamedByAllThatIsKnown(t *testing.T) {
	found := conflict.Judge(view(as), look(answered(vip, strange), advertised(strange, 99)))
	require.Equal(t, "10.10.74.99 ("+strangeMAC+")", found[0].Host.String(), "its advertisements tell its address")
	for host, want := range map[conflict.Host]string{{}: "an unknown host", {MAC: strangeMAC}: strangeMAC, {Address: strange.Address}: "10.10.74.99"} {
		require.Equal(t, want, host.String())
	}
}

func TestAnotherDeploymentOfTheCharmMerges(t *testing.T) {
	h := advertised(strange, 23)
	h.Addresses = []netip.Addr{vrrp.Anchor(23, false)}
	found := conflict.Judge(view(as), look(h))
	require.True(t, found[0].Merges(parameters()))
	h.Addresses = append(h.Addresses, netip.MustParseAddr(vip))
	require.False(t, conflict.Judge(view(as), look(h))[0].Merges(parameters()), "keepalived drops other lists")
}

func TestAFreeVirtualRouterIDIsTheNextOneThatNobodyUses(t *testing.T) {
	six := advertised(conflict.Host{Address: netip.MustParseAddr("fe80::1")}, 24)
	var all conflict.Look
	for id := vrrp.VirtualRouterID(1); id <= 255; id++ {
		all.Heard = append(all.Heard, advertised(strange, id))
	}
	for claim, c := range map[string]struct {
		look    conflict.Look
		present vrrp.VirtualRouterID
		count   int
		here    []vrrp.VirtualRouterID
		want    vrrp.VirtualRouterID
	}{
		"the next":                {look(), 23, 1, nil, 24},
		"not one heard":           {look(advertised(strange, 24)), 23, 1, nil, 25},
		"the other family's":      {look(six), 23, 1, nil, 24},
		"not one of this machine": {look(), 23, 1, []vrrp.VirtualRouterID{24, 25}, 26},
		"around the end":          {look(), 255, 1, nil, 1},
		"several in a row":        {look(advertised(strange, 25)), 23, 3, nil, 26},
		"not over the end":        {look(), 253, 3, nil, 1},
		"none":                    {all, 23, 1, nil, 0},
	} {
		require.Equal(t, c.want, conflict.Free(c.look, false, c.present, c.count, c.here), claim)
	}
}
