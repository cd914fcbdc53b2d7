package applied_test

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"keepalived-charm/internal/applied"
	"keepalived-charm/internal/keepalived"
	"keepalived-charm/internal/vrrp"
)

func addresses(words ...string) []netip.Addr {
	var list []netip.Addr
	for _, w := range words {
		list = append(list, netip.MustParseAddr(w))
	}
	return list
}

// parameters are those of a virtual router.
func parameters(id vrrp.VirtualRouterID, mode vrrp.Mode) vrrp.Parameters {
	return vrrp.Parameters{Version: 3, Mode: mode, VirtualRouterID: id, Interval: 200 * time.Millisecond, Anchor: vrrp.Anchor(id, false)}
}

// place puts an address on eth0.
func place(router, bits int) applied.Place {
	return applied.Place{Router: router, Interface: "eth0", Bits: bits}
}

// records are of every kind.
func records() map[string]applied.Record {
	secret := parameters(23, vrrp.Multicast)
	secret.Version, secret.Interval, secret.Auth = 2, time.Second, vrrp.Fingerprint("guess-me")
	python := parameters(23, vrrp.Multicast)
	python.Version, python.Interval, python.Anchor = 2, time.Second, netip.MustParseAddr("10.10.74.250")
	several := parameters(23, vrrp.Unicast)
	several.Spread = true
	vip := netip.MustParseAddr("10.10.74.250")
	return map[string]applied.Record{
		"nothing": {Routers: map[int]applied.Router{}, Addresses: map[netip.Addr]applied.Place{}},
		"a virtual IP": {Options: map[string]any{"port": json.Number("443"), "virtual_ip": "10.10.74.250"},
			Routers:   map[int]applied.Router{0: {Parameters: parameters(23, vrrp.Multicast), Link: "eth0"}},
			Addresses: map[netip.Addr]applied.Place{vip: place(0, 24)}},
		"on the move": {Options: map[string]any{"router_id": json.Number("23")}, Moving: map[string]any{"router_id": json.Number("42")},
			Routers:   map[int]applied.Router{0: {Parameters: parameters(23, vrrp.Multicast), Link: "eth0"}},
			Addresses: map[netip.Addr]applied.Place{vip: place(0, 32)}},
		"a password": {Routers: map[int]applied.Router{0: {Parameters: secret, Link: "eth0", Password: "guess-me"}},
			Addresses: map[netip.Addr]applied.Place{vip: place(0, 32)}},
		"beside units of the Python charm": {Routers: map[int]applied.Router{0: {Parameters: python, Link: "eth0", Also: addresses("10.10.74.251")}},
			Addresses: map[netip.Addr]applied.Place{vip: place(0, 32), netip.MustParseAddr("10.10.74.251"): place(0, 32)}},
		"several routers, unicast": {
			Routers: map[int]applied.Router{0: {Parameters: several, Link: "eth0"}, 2: {Parameters: parameters(25, vrrp.Unicast), Link: "eth0"}},
			Addresses: map[netip.Addr]applied.Place{vip: place(0, 32), netip.MustParseAddr("2001:db8::1"): place(2, 64),
				netip.MustParseAddr("10.10.74.252"): place(2, 32)},
			Peers: addresses("10.10.74.12", "10.10.74.13")},
	}
}

func TestARecordIsReadAsItWasWritten(t *testing.T) {
	for claim, r := range records() {
		text, err := r.Encode()
		require.NoError(t, err, claim)
		back, err := applied.Decode(text)
		require.NoError(t, err, claim)
		require.Equal(t, r, back, claim)
		require.Equal(t, len(r.Routers) > 0, r.Serves(), claim)
	}
}

// fragment is what the revision before the record wrote of the same.
func fragment(t *testing.T, r applied.Record) string {
	t.Helper()
	f := keepalived.Fragment{Application: "keepalived"}
	for number := range 3 {
		router, runs := r.Routers[number]
		if !runs {
			continue
		}
		i := keepalived.VRRPInstance{Name: name(number), Interface: router.Link, Parameters: router.Parameters, Priority: 50,
			TrackFile: "/run/keepalived-charm/keepalived/priority", Also: router.Also, Password: router.Password, Peers: r.Peers}
		for a, p := range r.Addresses {
			if p.Router == number {
				i.Addresses = append(i.Addresses, keepalived.VirtualAddress{Prefix: netip.PrefixFrom(a, p.Bits), Interface: p.Interface})
			}
		}
		f.Instances = append(f.Instances, i)
	}
	text, err := f.Render()
	require.NoError(t, err)
	return text
}

func name(number int) string {
	if number == 0 {
		return "charm_keepalived"
	}
	return fmt.Sprint("charm_keepalived_", number)
}

func number(instance string) (int, bool) {
	for n := range 256 {
		if name(n) == instance {
			return n, true
		}
	}
	return 0, false
}

// TestWhatTheRevisionBeforeLeftIsConverted: its record was the fragment, comments
// included, and options.json.
func TestWhatTheRevisionBeforeLeftIsConverted(t *testing.T) {
	for claim, want := range records() {
		if !want.Serves() {
			continue
		}
		want.Moving = nil // it noted nothing of it
		options, err := json.Marshal(want.Options)
		require.NoError(t, err)
		texts := applied.Texts{Fragment: fragment(t, want), Options: string(options), Number: number}
		for _, spoilt := range []string{"", "{", "[]", `{"version":0}`} {
			texts.Record = spoilt
			got, err := applied.Read(texts)
			require.NoError(t, err, claim)
			require.Equal(t, want, got, "%s, %q", claim, spoilt)
		}
		texts.Options = "spoilt"
		got, err := applied.Read(texts)
		require.NoError(t, err)
		require.Nil(t, got.Options, "they are not known")
	}
	got, err := applied.Read(applied.Texts{Fragment: "spoilt", Number: number})
	require.NoError(t, err)
	require.False(t, got.Serves())
}

const python = `vrrp_script chk_svc_port {
    script "/bin/true"
}
vrrp_instance VI_1 {
    interface eth7
    virtual_router_id 23
    virtual_ipaddress {
        10.10.74.250/24
        10.10.74.251/24
    }
}
`

func TestThePythonCharmsFileIsReadToo(t *testing.T) {
	got, err := applied.Read(applied.Texts{Python: python, Number: number})
	require.NoError(t, err)
	require.True(t, got.Serves() && got.Python && !got.Ours())
	require.Equal(t, netip.MustParseAddr("10.10.74.250"), got.Routers[0].Anchor)
	require.Equal(t, addresses("10.10.74.251"), got.Routers[0].Also)
	require.Equal(t, "eth7", got.Routers[0].Link)
	require.ElementsMatch(t, addresses("10.10.74.250", "10.10.74.251"), got.All()[0])
	now, err := records()["a virtual IP"].Encode()
	require.NoError(t, err)
	for claim, texts := range map[string]applied.Texts{
		"a record":            {Record: now, Fragment: fragment(t, records()["a virtual IP"])},
		"one of a later time": {Record: `{"version": 9}`},
		"no record yet":       {Fragment: fragment(t, records()["a virtual IP"])},
	} {
		texts.Python, texts.Number = python, number
		again, err := applied.Read(texts)
		require.NoError(t, err, claim)
		require.Equal(t, got, again, "from before that charm came back: %s", claim)
	}
	// Another application's charm wrote it.
	mine, err := records()["a virtual IP"].Encode()
	require.NoError(t, err)
	theirs := strings.NewReplacer("10.10.74.250", "10.10.74.30", "10.10.74.251", "10.10.74.31").Replace(python)
	stays, err := applied.Read(applied.Texts{Record: mine, Python: theirs, Number: number})
	require.NoError(t, err)
	require.Equal(t, records()["a virtual IP"], stays)
	for _, text := range []string{"", "vrrp_instance VI_1 {\n}\n", strings.ReplaceAll(python, "23", "x")} {
		got, err := applied.Read(applied.Texts{Python: text, Number: number})
		require.NoError(t, err)
		require.False(t, got.Serves(), text)
	}
}

// TestARecordOfALaterRevisionIsNeverGuessed, whatever else is there.
func TestARecordOfALaterRevisionIsNeverGuessed(t *testing.T) {
	now, err := records()["a virtual IP"].Encode()
	require.NoError(t, err)
	for _, text := range []string{`{"version": 2}`, strings.Replace(now, `"version": 1`, `"version": 9, "word": ["new"]`, 1)} {
		got, err := applied.Read(applied.Texts{Record: text, Fragment: fragment(t, records()["a virtual IP"]), Number: number})
		var later *applied.Later
		require.ErrorAs(t, err, &later)
		require.Contains(t, err.Error(), "reads version 1")
		require.Zero(t, got)
	}
}

func TestARecordThatNoUnitWroteIsRefused(t *testing.T) {
	good, err := records()["several routers, unicast"].Encode()
	require.NoError(t, err)
	for _, c := range [][2]string{
		{`"mode": "unicast"`, `"mode": "broadcast"`}, {`"vrrp_version": 3`, `"vrrp_version": 4`}, {`"interval": "200ms"`, `"interval": "0s"`},
		{`"interval": "200ms"`, `"interval": "soon"`}, {`"virtual_router_id": 23`, `"virtual_router_id": 0`}, {`"number": 2`, `"number": 0`},
		{`"number": 2`, `"number": -1`}, {`"bits": 64`, `"bits": 129`}, {`"router": 2`, `"router": 3`}, {`"interface": "eth0",` + "\n      \"bits\"", `"interface": "",` + "\n      \"bits\""},
		{`"10.10.74.12"`, `"fe80::1%eth0"`}, {`"anchor": "169.254.23.112"`, `"anchor": ""`}, {`"peers"`, `"pears"`}, {"\n}\n", "\n}\n{}\n"}, {`"version": 1`, `"version": 1, "moving": {}`},
	} {
		require.Contains(t, good, c[0])
		_, err := applied.Decode(strings.Replace(good, c[0], c[1], 1))
		require.Error(t, err, c[1])
	}
	_, err = applied.Record{Routers: map[int]applied.Router{0: {}}}.Encode()
	require.Error(t, err, "what could not be read is not written")
}

func TestWhatAUnitRuns(t *testing.T) {
	r := records()["several routers, unicast"]
	require.True(t, r.Uses("eth0"))
	require.False(t, r.Uses("eth1"))
	require.Equal(t, 200*time.Millisecond, r.LongestInterval())
	require.Zero(t, applied.Record{}.LongestInterval())
	require.ElementsMatch(t, addresses("169.254.25.112", "2001:db8::1", "10.10.74.252"), r.All()[2])
	require.Equal(t, json.Number("42"), records()["on the move"].Latest()["router_id"])
	require.True(t, applied.Same(map[string]any{"a": 1, "b": json.Number("2")}, map[string]any{"b": 2, "a": json.Number("1")}))
	require.False(t, applied.Same(map[string]any{"a": 1}, map[string]any{"a": 2}))
}

// FuzzRead: no text faults, and what is read can be written and read again.
func FuzzRead(f *testing.F) {
	for _, r := range records() {
		text, err := r.Encode()
		require.NoError(f, err)
		f.Add(text, "", "", "")
	}
	f.Add("", "# parameters charm_keepalived: version=3 mode=multicast vrid=23 interval=200ms anchor=169.254.23.112\nvrrp_instance charm_keepalived {\n}\n", "{}", "")
	f.Add(`{"version":2}`, "vrrp_instance charm_keepalived {\n}\n", "[]", python)
	f.Fuzz(func(t *testing.T, record, fragment, options, python string) {
		r, err := applied.Read(applied.Texts{Record: record, Fragment: fragment, Options: options, Python: python, Number: number})
		if err != nil || r.Python {
			return
		}
		text, err := r.Encode()
		if err != nil {
			require.NotEmpty(t, fragment, "somebody wrote into it")
			return
		}
		again, err := applied.Decode(text)
		require.NoError(t, err)
		if record != "" && r.Serves() {
			require.Equal(t, r.Routers, again.Routers)
			require.Equal(t, r.Addresses, again.Addresses)
		}
	})
}
