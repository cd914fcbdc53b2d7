package loadbalancer_test

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"keepalived-charm/internal/juju"
	"keepalived-charm/internal/loadbalancer"
)

// recorded is what a consumer's own library wrote.
type recorded struct {
	Bag      juju.Databag `json:"app_databag"`
	Requirer string       `json:"requirer"`
}

func record(t testing.TB, name string) recorded {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", name+".json"))
	require.NoError(t, err)
	var r recorded
	require.NoError(t, json.Unmarshal(text, &r))
	return r
}

func beside(application string) loadbalancer.Provider {
	return loadbalancer.Provider{Beside: []string{application}, Addresses: []netip.Addr{netip.MustParseAddr("10.10.74.250"), netip.MustParseAddr("2001:db8::250")}}
}

// takes tells whether a consumer's library takes an answer to its request of now.
func takes(text, hash string) bool {
	var a struct {
		Address *string           `json:"address"`
		Error   *string           `json:"error"`
		Fields  map[string]string `json:"error_fields"`
		Message *string           `json:"error_message"`
		Hash    *string           `json:"received_hash"`
	}
	d := json.NewDecoder(strings.NewReader(text))
	d.DisallowUnknownFields()
	if d.Decode(&a) != nil || d.More() || a.Hash == nil || *a.Hash != hash {
		return false
	}
	if a.Error == nil {
		return a.Address != nil
	}
	for name := range a.Fields {
		if !slices.Contains([]string{"protocol", "port_mapping", "backends", "tls_termination", "ingress_address"}, name) {
			return false
		}
	}
	return slices.Contains([]string{"unsupported", "provider_error"}, *a.Error) && (a.Message != nil || len(a.Fields) > 0)
}

// TestTakes: it says what the library did, which was recorded.
func TestTakes(t *testing.T) {
	text, err := os.ReadFile("testdata/consumer-verdicts.json")
	require.NoError(t, err)
	var verdicts []struct {
		Case, Response, Raises string
		Has                    bool `json:"has_response"`
	}
	require.NoError(t, json.Unmarshal(text, &verdicts))
	require.Len(t, verdicts, 16)
	for _, v := range verdicts {
		require.Equal(t, v.Raises == "" && v.Has, takes(v.Response, "a2a345e494565a3d4ded3e1c31d5e793"), v.Case)
	}
}

func TestWhatConsumersAreAnswered(t *testing.T) {
	const good = `{"address":"10.10.74.250","error":null,"error_fields":{},"error_message":null,"received_hash":"HASH"}`
	refused := func(field, why string) string {
		return `{"address":null,"error":"unsupported","error_fields":{"` + field + `":"` + why + `"},"error_message":null,"received_hash":"HASH"}`
	}
	for file, want := range map[string]string{
		"kcp-internal":          good,
		"two-ports":             good,
		"udp-identity":          good,
		"ingress-address":       good,
		"kcp-external":          refused("port_mapping", "keepalived forwards nothing: listen and backend port must be equal, not 443 to 6443"),
		"https-tls-termination": refused("tls_termination", "keepalived forwards nothing and ends no TLS"),
	} {
		r := record(t, file)
		for key, text := range r.Bag {
			name, is := strings.CutPrefix(key, "request_")
			if !is {
				continue
			}
			var sent struct {
				Hash string `json:"sent_hash"`
			}
			require.NoError(t, json.Unmarshal([]byte(text), &sent))
			bag := beside(r.Requirer).Databag(r.Requirer, loadbalancer.Read(r.Bag), nil)
			require.Equal(t, juju.Databag{"version": "1", "response_" + name: strings.ReplaceAll(want, "HASH", sent.Hash)}, bag, file)
			require.True(t, takes(bag["response_"+name], sent.Hash), file)
			other := beside("haproxy").Databag(r.Requirer, loadbalancer.Read(r.Bag), nil)["response_"+name]
			require.Contains(t, other, `"error_message":"keepalived forwards nothing: the virtual IPs are on the machines of haproxy, not of `+r.Requirer+`"`, file)
			require.True(t, takes(other, sent.Hash), file)
		}
	}
}

// TestWhatNoConsumerAsks, but anybody may write, is answered as well.
func TestWhatNoConsumerAsks(t *testing.T) {
	ports := func(n int) string {
		list := make([]string, n)
		for i := range list {
			list[i] = fmt.Sprintf(`"%05d":%d`, i+1, i+2)
		}
		return strings.Join(list, ",")
	}
	answer := func(ports, address string) string {
		bag := juju.Databag{"request_x": `{"protocol":"tcp","port_mapping":{` + ports + `},"ingress_address":"` + address + `","sent_hash":"h"}`}
		text := beside("web").Databag("web", loadbalancer.Read(bag), nil)["response_x"]
		require.True(t, takes(text, "h"), text)
		return text
	}
	backends := func(list string) string {
		p := beside("web")
		p.Machines = []netip.Addr{netip.MustParseAddr("10.10.74.11"), netip.MustParseAddr("2001:db8::11")}
		bag := juju.Databag{"request_x": `{"protocol":"tcp","port_mapping":{"80":80},"backends":[` + list + `],"sent_hash":"h"}`}
		text := p.Databag("web", loadbalancer.Read(bag), nil)["response_x"]
		require.True(t, takes(text, "h"), text)
		return text
	}
	require.Contains(t, backends(`"10.10.74.11","2001:DB8::11"`), `"error":null`, "its own machines")
	for _, list := range []string{`"10.10.74.11","10.10.74.99"`, `"web-0.example.com"`, `""`} {
		require.Contains(t, backends(list), `{"backends":"keepalived forwards nothing: must be addresses of units of web, or empty"}`, list)
	}
	for claim, mapping := range map[string]string{"no port": "", "port 0": `"0":0`, "negative": `"-1":-1`, "too large": `"65536":65536`, "one of two": `"80":80,"70000":70000`} {
		require.Contains(t, answer(mapping, ""), `{"port_mapping":"must name ports from 1 to 65535"}`, claim)
	}
	require.Contains(t, answer(ports(10000), ""), "00005 to 6, and 9995 more", "an answer stays short")
	require.Contains(t, answer(`"80":80`, "2001:DB8:0::250"), `"address":"2001:db8::250"`, "however it is written")
	require.Contains(t, answer(`"80":80`, ""), `"address":"10.10.74.250"`)
	for _, no := range []string{"10.10.74.251", "x", "::ffff:10.10.74.250", "10.10.74.250/32"} {
		require.Contains(t, answer(`"80":80`, no), `{"ingress_address":"must be a virtual IP of keepalived"}`, no)
	}
}

func TestRequestsThatCannotBeReadHaveNoAnswer(t *testing.T) {
	good := record(t, "kcp-internal").Bag["request_api-server-internal"]
	for claim, text := range map[string]string{
		"truncated": good[:len(good)/2], "doubled": good + good, "a list": "[" + good + "]", "null": "null", "a number": "1", "empty": "{}",
		"garbled": strings.ReplaceAll(good, `"`, "\x00"), "ports that are texts": strings.Replace(good, "6443}", `"6443"}`, 1), "1 MB": strings.Repeat(" ", 1<<20) + good,
	} {
		bag := beside("web").Databag("web", loadbalancer.Read(juju.Databag{"version": "1", "request_web": text}), nil)
		require.Equal(t, juju.Databag{"version": "1"}, bag, claim)
	}
}

func TestAnswersAreWithdrawn(t *testing.T) {
	have := juju.Databag{"version": "1", "response_web": "{}", "response_gone": "{}", "other": "x"}
	requests := loadbalancer.Read(juju.Databag{"request_web": record(t, "two-ports").Bag["request_web"]})
	bag := beside("web").Databag("web", requests, have)
	require.Contains(t, bag["response_web"], "10.10.74.250")
	require.Empty(t, bag["response_gone"], "with its request")
	require.NotContains(t, bag, "other")
	none := loadbalancer.Provider{}
	require.Equal(t, juju.Databag{"version": "1", "response_web": "", "response_gone": ""}, none.Databag("web", requests, have), "with the last virtual IP")
}

// FuzzRead: whatever a consumer writes, it takes the answer, if there is one.
func FuzzRead(f *testing.F) {
	for _, name := range []string{"kcp-internal", "kcp-external", "two-ports", "udp-identity", "https-tls-termination", "ingress-address"} {
		for _, text := range record(f, name).Bag {
			f.Add(text)
		}
	}
	f.Fuzz(func(t *testing.T, text string) {
		for _, r := range loadbalancer.Read(juju.Databag{"request_x": text}) {
			bag := beside("web").Databag("web", map[string]loadbalancer.Request{"x": r}, nil)
			if r.Hash != nil {
				require.True(t, takes(bag["response_x"], *r.Hash), bag["response_x"])
			}
			require.NotContains(t, bag["response_x"], "\n")
			both := beside("web")
			both.Beside, both.Unordered = []string{"db", "web"}, true
			have := juju.Databag{"response_x": text}
			again := both.Databag("web", map[string]loadbalancer.Request{"x": r}, have)
			require.Equal(t, again, both.Databag("web", map[string]loadbalancer.Request{"x": r}, juju.Databag{"response_x": again["response_x"]}), "it stays")
		}
	})
}
