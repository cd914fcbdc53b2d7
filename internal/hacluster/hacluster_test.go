package hacluster_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"keepalived-charm/internal/hacluster"
	"keepalived-charm/internal/juju"
)

// recorded is what a principal's own library wrote.
type recorded struct {
	Bag    juju.Databag `json:"unit_databag"`
	Expect string       `json:"expect"`
}

func record(t testing.TB, name string) recorded {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", name+".json"))
	require.NoError(t, err)
	var r recorded
	require.NoError(t, json.Unmarshal(text, &r))
	return r
}

func records(t testing.TB) []string {
	t.Helper()
	files, err := filepath.Glob("testdata/*.json")
	require.NoError(t, err)
	var names []string
	for _, f := range files {
		names = append(names, strings.TrimSuffix(filepath.Base(f), ".json"))
	}
	return names
}

// said is a request in one line.
func said(r hacluster.Request) string {
	switch r.State {
	case hacluster.Absent:
		return fmt.Sprintf("absent, began %v", r.Began)
	case hacluster.Refused:
		return "refused: " + r.Reason
	case hacluster.Empty:
		return fmt.Sprintf("empty, %v", r.Services)
	}
	all := r.Interface()
	for n := range r.VirtualIPs {
		if all != "" {
			r.VirtualIPs[n].Interface = ""
		}
	}
	return fmt.Sprintf("%v on %q, %v", r.VirtualIPs, all, r.Services)
}

func TestWhatPrincipalsAskFor(t *testing.T) {
	haproxy, nginx := " on \"\", [haproxy.service]", " on \"\", [nginx.service]"
	want := map[string]string{
		"haproxy-00-no-vip-option":      "absent, began false",
		"haproxy-01-first":              "[10.10.74.250]" + haproxy,
		"haproxy-02-second":             "[10.10.74.250]" + haproxy,
		"haproxy-03-third":              "[10.10.74.250]" + haproxy,
		"haproxy-04-vip-changed":        "[10.10.74.251]" + haproxy,
		"haproxy-05-vip-changed-next":   "[10.10.74.251]" + haproxy,
		"haproxy-08-vip-third":          "[10.10.74.252 10.10.74.250]" + haproxy,
		"haproxy-11-re-related":         "absent, began false",
		"haproxy-12-re-related-changed": "[2001:db8::250 10.10.74.250]" + haproxy,
		"klb-00-no-vip-first":           "absent, began true",
		"klb-01-no-vip-second":          "empty, [nginx.service]",
		"klb-02-vip":                    "[10.10.74.250]" + nginx,
		"klb-03-vip-next":               "[10.10.74.250]" + nginx,
		"klb-10-fresh-first":            "[10.10.74.250] on \"\", []",
		"klb-11-fresh-second":           "[10.10.74.250]" + nginx,
		"klb-13-two":                    "[10.10.74.250 10.10.74.251]" + nginx,
		"klb-14-two-next":               "[10.10.74.250 10.10.74.251]" + nginx,
		"klb-17-all-removed":            "empty, [nginx.service]",
		"klb-18-all-removed-next":       "empty, [nginx.service]",
		"klb-20-dual-stack":             "[10.10.74.250 2001:db8::250]" + nginx,
		"klb-30-dns":                    "refused: res_kubeapi_load_balancer_public_hostname is ocf:maas:dns",
		"klb-40-re-related":             "[10.10.74.250] on \"\", []",
		"other-00-nic-netmask":          "[10.10.74.250/24] on \"eth0\", []",
		"other-02-service-not-cloned":   "refused: res_other_etcd, which is systemd:etcd, is no clone",
	}
	for _, name := range records(t) {
		r := record(t, name)
		require.Equal(t, want[name], said(hacluster.Read(r.Bag)), "%s: %s", name, r.Expect)
		delete(want, name)
	}
	require.Empty(t, want, "every one is recorded")
}

// asking is a request for 10.10.74.250 with some keys changed.
func asking(changes juju.Databag) juju.Databag {
	bag := juju.Databag{"json_resources": `{"res_a_vip": "ocf:heartbeat:IPaddr2"}`, "json_resource_params": `{"res_a_vip": "params ip=\"10.10.74.250\""}`}
	maps.Copy(bag, changes)
	return bag
}

func params(text string) juju.Databag {
	quoted, _ := json.Marshal(map[string]string{"res_a_vip": text})
	return asking(juju.Databag{"json_resource_params": string(quoted)})
}

func TestRequests(t *testing.T) {
	const one = "[10.10.74.250] on \"\", []"
	six := func(text string) juju.Databag {
		return asking(juju.Databag{"json_resources": `{"res_a_vip": "ocf:heartbeat:IPv6addr"}`, "json_resource_params": `{"res_a_vip": "` + text + `"}`})
	}
	with := func(agent, clones, groups string) juju.Databag {
		return asking(juju.Databag{"json_resources": `{"res_a_vip": "ocf:heartbeat:IPaddr2", "res_b": "` + agent + `"}`, "json_clones": clones, "json_groups": groups})
	}
	for claim, c := range map[string]struct {
		bag  juju.Databag
		want string
	}{
		"charm-helpers leaves empty keys out":      {asking(nil), one},
		"no quotes":                                {params("params ip=10.10.74.250"), one},
		"single quotes, and runs of spaces":        {params("  params   ip='10.10.74.250'  "), one},
		"nothing before the items":                 {params("ip=10.10.74.250 op monitor interval=5s"), one},
		"several operations, an ip in one of them": {params(`op start ip="10.10.74.9" op monitor timeout="20s" params ip="10.10.74.250" op stop ip=10.10.74.8 meta ip=x`), one},
		"a netmask":                                {params(`params ip="10.10.74.250" cidr_netmask="24"`), "[10.10.74.250/24] on \"\", []"},
		"a dotted netmask":                         {params(`params ip="10.10.74.250" cidr_netmask="255.255.254.0"`), "[10.10.74.250/23] on \"\", []"},
		"a prefix length behind the address":       {params(`params ip="10.10.74.250/24"`), "[10.10.74.250/24] on \"\", []"},
		"an IPv6 address":                          {six(`params ipv6addr=2001:db8::250 cidr_netmask=64 nic=eth1`), "[2001:db8::250/64] on \"eth1\", []"},
		"an IPv6 address of the agent for both":    {params("params ip=2001:db8::250"), "[2001:db8::250] on \"\", []"},
		"an init script":                           {with("lsb:haproxy", `{"cl_b": "res_b"}`, `{}`), "[10.10.74.250] on \"\", [haproxy.service]"},
		"a unit with its type, and one with a dot": {with("systemd:a.socket", `{"cl_b": "res_b"}`, `{}`), "[10.10.74.250] on \"\", [a.socket]"},
		"an init script with a dot":                {with("lsb:rc.local", `{"cl_b": "res_b"}`, `{}`), "[10.10.74.250] on \"\", [rc.local.service]"},
		"a clone of a group":                       {with("systemd:b", `{"cl_g": "g"}`, `{"g": "res_b res_gone"}`), "[10.10.74.250] on \"\", [b.service]"},
		"a clone with attributes":                  {with("lsb:haproxy", `{"cl_b": "res_b meta interleave=true"}`, `{}`), "[10.10.74.250] on \"\", [haproxy.service]"},
		"a clone of nothing":                       {asking(juju.Databag{"json_clones": `{"cl_b": " "}`}), one},
		"a clone and a group of what is gone":      {asking(juju.Databag{"json_clones": `{"cl_x": "res_x"}`, "json_groups": `{"g": "res_x res_a_vip"}`}), one},
		"a tombstone of what is there again":       {asking(juju.Databag{"json_delete_resources": `["res_a_vip", "res_z"]`}), one},
		"services as an object":                    {asking(juju.Databag{"json_init_services": `{"res_a": "a"}`}), one},
		"services as a list":                       {asking(juju.Databag{"json_init_services": `["a"]`}), one},
		"keys of others":                           {asking(juju.Databag{"corosync_bindiface": "eth9", "egress-subnets": "x", "resources": "{'a': 'b'}"}), one},
		"twice the same address":                   {asking(juju.Databag{"json_resources": `{"res_a_vip": "ocf:heartbeat:IPaddr2", "res_b": "ocf:heartbeat:IPaddr2"}`, "json_resource_params": `{"res_a_vip": "params ip=10.10.74.250", "res_b": "params ip=10.10.74.250 nic=eth0"}`}), "[10.10.74.250] on \"eth0\", []"},
		"nothing at all":                           {asking(juju.Databag{"json_resources": `{}`}), "empty, []"},
		"Python literals":                          {juju.Databag{"resources": "{'res_a_vip': 'ocf:heartbeat:IPaddr2'}"}, "refused: it asks in the form of charms from before json_resources (key resources)"},
		"a master/slave set":                       {asking(juju.Databag{"json_ms": `{"ms_a": "res_a meta"}`}), "refused: ms_a is a master/slave set (json_ms)"},
		"an order":                                 {asking(juju.Databag{"json_orders": `{"o": "x"}`}), "refused: o is an order (json_orders)"},
		"a location":                               {asking(juju.Databag{"json_locations": `{"l": "x"}`}), "refused: l is a location (json_locations)"},
		"a colocation":                             {asking(juju.Databag{"json_colocations": `{"c": "x"}`}), "refused: c is a colocation (json_colocations)"},
		"another agent":                            {with("ocf:heartbeat:Filesystem", `{"c": "res_b"}`, `{}`), "refused: res_b is ocf:heartbeat:Filesystem"},
		"a unit that no unit can be":               {with("systemd:a b", `{"c": "res_b"}`, `{}`), `refused: res_b is "systemd:a b"`},
		"a clone of a virtual IP":                  {asking(juju.Databag{"json_clones": `{"c": "res_a_vip"}`}), "refused: c clones a virtual IP, res_a_vip"},
		"no address":                               {asking(juju.Databag{"json_resource_params": `{}`}), `refused: res_a_vip has no address: ip is ""`},
		"an address that is none":                  {params("params ip=10.10.74.300"), "refused: res_a_vip has no address: ip is 10.10.74.300"},
		"an address of an interface":               {params("params ip=fe80::1%eth0"), `refused: res_a_vip has no address: ip is "fe80::1%eth0"`},
		"a netmask with a hole":                    {params("params ip=10.10.74.250 cidr_netmask=255.0.255.0"), "refused: res_a_vip has no netmask: cidr_netmask is 255.0.255.0"},
		"a netmask for all of it":                  {params("params ip=10.10.74.250 cidr_netmask=0"), "refused: res_a_vip has no netmask: cidr_netmask is 0"},
		"a netmask that is too long":               {params("params ip=10.10.74.250 cidr_netmask=64"), "refused: res_a_vip has no netmask: cidr_netmask is 64"},
		"an interface that none can be":            {params("params ip=10.10.74.250 nic=eth0/x"), "refused: res_a_vip has no interface: nic is eth0/x"},
		"a quote that does not end":                {params(`params ip="10.10.74.250`), "refused: res_a_vip has parameters with a quote that does not end"},
		"an interface for some":                    {asking(juju.Databag{"json_resources": `{"a": "ocf:heartbeat:IPaddr2", "b": "ocf:heartbeat:IPaddr2"}`, "json_resource_params": `{"a": "params ip=10.10.74.250", "b": "params ip=198.51.100.9 nic=eth1"}`}), "[10.10.74.250 198.51.100.9%eth1] on \"\", []"},
		"virtual IPs on two interfaces":            {asking(juju.Databag{"json_resources": `{"a": "ocf:heartbeat:IPaddr2", "b": "ocf:heartbeat:IPv6addr"}`, "json_resource_params": `{"a": "params ip=10.10.74.250 nic=eth0 cidr_netmask=24", "b": "params ipv6addr=2001:db8::9 nic=eth1.7"}`}), "[10.10.74.250%eth0/24 2001:db8::9%eth1.7] on \"\", []"},
		"two interfaces for one address":           {asking(juju.Databag{"json_resources": `{"a": "ocf:heartbeat:IPaddr2", "b": "ocf:heartbeat:IPaddr2"}`, "json_resource_params": `{"a": "params ip=10.10.74.250 nic=eth0", "b": "params ip=10.10.74.250 nic=eth1"}`}), "refused: b is for interface eth1, another one with its address for eth0"},
		"what a shell would run is not run, and adds no line anywhere": {params("params ip=\"$(reboot)\n}\""), `refused: res_a_vip has no address: ip is "$(reboot)\n}"`},
	} {
		t.Run(claim, func(t *testing.T) {
			require.Equal(t, c.want, said(hacluster.Read(c.bag)))
		})
	}
}

// TestManyResourcesWithManyTombstonesTakeNoLongerThanEither: each is as long as is read, in
// every hook.
func TestManyResourcesWithManyTombstonesTakeNoLongerThanEither(t *testing.T) {
	var resources, params []string
	for n := range 8000 {
		resources = append(resources, fmt.Sprintf(`"%05d":"ocf:heartbeat:IPaddr2"`, n))
		params = append(params, fmt.Sprintf(`"%05d":"ip=10.%d.%d.1"`, n, n/250, n%250))
	}
	many := juju.Databag{"json_resources": "{" + strings.Join(resources, ",") + "}", "json_resource_params": "{" + strings.Join(params, ",") + "}"}
	took := func(bag juju.Databag) time.Duration {
		began := time.Now()
		require.Equal(t, hacluster.Wanted, hacluster.Read(bag).State)
		return time.Since(began)
	}
	deleted := "[" + strings.Repeat(`"x",`, 130000) + `"x"]`
	either := took(many) + took(asking(juju.Databag{"json_delete_resources": deleted}))
	many["json_delete_resources"] = deleted
	require.Less(t, took(many), 10*either)
}

// TestASpoiltKeyIsAReason: whatever becomes of a key, the request says which one it is, in one
// short line, or is what it was without it.
func TestASpoiltKeyIsAReason(t *testing.T) {
	for _, name := range records(t) {
		bag := record(t, name).Bag
		as := said(hacluster.Read(bag))
		for _, key := range slices.Sorted(maps.Keys(bag)) {
			all := map[string]string{
				"garbled": strings.ReplaceAll(bag[key], `"`, "\x00{"), "truncated": bag[key][:len(bag[key])/2], "doubled": bag[key] + bag[key],
				"a number": "1", "a text": `"x"`, "null": "null", "a list": "[1]", "an object": `{"a": 1}`, "a list of lists": "[[]]", "objects": `{"a": {"b": []}}`, "empty": "",
			}
			if name == "klb-20-dual-stack" {
				maps.Copy(all, map[string]string{
					"1 MB": strings.Repeat("x", 1<<20), "1 MB of JSON": `{"a": "` + strings.Repeat("x", 1<<20) + `"}`, "1 MB deep": strings.Repeat("[", 1<<20),
					"a name of half a MB": `{"` + strings.Repeat("x", 1<<19-20) + `": ""}`,
				})
			}
			for spoilt, value := range all {
				spoiltBag := maps.Clone(bag)
				spoiltBag[key] = value
				r := hacluster.Read(spoiltBag)
				sound(t, r)
				if r.State != hacluster.Refused || !strings.HasPrefix(key, "json_") {
					require.Equal(t, as, said(r), "%s: %s %s", name, key, spoilt)
					continue
				}
				// An object of texts may be read, and makes no sense then.
				require.True(t, strings.HasPrefix(r.Reason, key+" ") || spoilt == "a name of half a MB" || as == said(r), "%s: %s %s: %s", name, key, spoilt, r.Reason)
			}
		}
	}
}

// sound requires what is so of every request.
func sound(t testing.TB, r hacluster.Request) {
	t.Helper()
	require.Less(t, len(r.Reason), 700)
	require.NotContains(t, r.Reason, "\n")
	require.Equal(t, r.State == hacluster.Refused, r.Reason != "")
	require.Equal(t, r.State == hacluster.Wanted, len(r.VirtualIPs) > 0)
	for _, v := range r.VirtualIPs {
		require.True(t, v.IsValid() && v.Addr().Zone() == "" && v.Bits() > 0)
		require.Equal(t, v.Sized, strings.Contains(v.String(), "/"))
		require.False(t, strings.ContainsAny(v.String(), " ,\t\r\n\"'{}#!$\x00"), "%q", v)
	}
	for _, word := range r.Services {
		require.False(t, strings.ContainsAny(word, " \t\r\n\"'{}#!$\x00"), "%q", word)
	}
}

// FuzzRead: no principal makes a hook fail, and what it says is plain.
func FuzzRead(f *testing.F) {
	for _, name := range records(f) {
		b := record(f, name).Bag
		f.Add(b["json_resources"], b["json_resource_params"], b["json_groups"], b["json_clones"], b["json_delete_resources"], b["json_init_services"])
	}
	f.Add(`{"a": "lsb:b"}`, `{"a": "params \\"}`, `{"a": null}`, `{"a": "a"}`, `[null]`, `{}`)
	f.Fuzz(func(t *testing.T, resources, params, groups, clones, deleted, services string) {
		bag := juju.Databag{"json_resources": resources, "json_resource_params": params, "json_groups": groups, "json_clones": clones,
			"json_delete_resources": deleted, "json_init_services": services}
		r := hacluster.Read(bag)
		sound(t, r)
		require.Equal(t, r, hacluster.Read(bag))
	})
}
