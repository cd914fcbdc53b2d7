package config_test

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/juju/charm/v12"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"keepalived-charm/internal/config"
	"keepalived-charm/internal/healthcheck"
)

func TestConfigYAMLAndTheCodeKnowTheSameOptionsAndDefaults(t *testing.T) {
	f, err := os.Open("../../config.yaml")
	require.NoError(t, err)
	defer f.Close()
	yaml, err := charm.ReadConfig(f)
	require.NoError(t, err)
	want := map[string]string{}
	for name, o := range yaml.Options {
		want[name] = fmt.Sprint(o.Default)
	}
	got := map[string]string{}
	for name, v := range config.Defaults() {
		got[name] = fmt.Sprint(v)
	}
	assert.Equal(t, want, got)
}

func TestDefaults(t *testing.T) {
	o, err := config.Parse(nil)
	require.NoError(t, err)
	assert.Empty(t, o.VirtualIPs)
	assert.Equal(t, 443, o.Port)
	assert.EqualValues(t, 23, o.VirtualRouterID)
	assert.Equal(t, 200*time.Millisecond, o.AdvertInterval)
	assert.Equal(t, config.Check{Check: healthcheck.Check{Type: healthcheck.TCP, Target: "localhost:443",
		Interval: healthcheck.DefaultInterval, Timeout: healthcheck.DefaultTimeout,
		Fall: healthcheck.DefaultFall, Rise: healthcheck.DefaultRise}}, o.Check)
	assert.False(t, o.Policy.Preempt || o.Policy.DropAllUnhealthy)
}

func TestGoodValues(t *testing.T) {
	for _, c := range []struct{ option, value, want string }{
		{"virtual_ip", "10.10.74.250", "10.10.74.250/32"},
		{"virtual_ip", " 10.10.74.250/24\n", "10.10.74.250/24"},
		{"virtual_ip", "10.10.74.0/31", "10.10.74.0/31"},
		{"virtual_ip", "2001:db8::250", "2001:db8::250/128"},
		{"virtual_ip", "2001:db8::250/64", "2001:db8::250/64"},
	} {
		o, err := config.Parse(map[string]any{c.option: c.value})
		require.NoError(t, err, "%q", c.value)
		require.Equal(t, c.want, o.VirtualIPs[0].String())
		require.Empty(t, o.VirtualIPs[0].Interface)
	}
	for text, want := range map[string]config.VirtualIP{
		"10.10.74.250%eth1":          {Prefix: netip.MustParsePrefix("10.10.74.250/32"), Interface: "eth1", Written: "10.10.74.250"},
		"2001:DB8::250%bond0.100/64": {Prefix: netip.MustParsePrefix("2001:db8::250/64"), Sized: true, Interface: "bond0.100", Written: "2001:DB8::250"},
	} {
		o, err := config.Parse(map[string]any{"virtual_ip": text})
		require.NoError(t, err)
		require.Equal(t, []config.VirtualIP{want}, o.VirtualIPs)
	}
	o, err := config.Parse(map[string]any{"port": json.Number("6443"), "preempt": true, "all_unhealthy": "drop",
		"advert_interval": json.Number("0.251"), "healthcheck_target": "[::1]:80", "vip_hostname": "api.example.com",
		"network_interface": "bond0.100"})
	require.NoError(t, err)
	assert.Equal(t, 6443, o.Port)
	assert.True(t, o.Policy.Preempt && o.Policy.DropAllUnhealthy)
	assert.Equal(t, 250*time.Millisecond, o.AdvertInterval, "whole centiseconds, as VRRPv3 carries them")
	assert.Equal(t, "[::1]:80", o.Check.Target)
	assert.Equal(t, "bond0.100", o.Interface)
}

func TestABadValueIsNamedWithItsOptionAndRange(t *testing.T) {
	for _, c := range []struct {
		option string
		value  any
		want   string
	}{
		{"virtual_ip", "abc", `option virtual_ip is "abc", must be an IP address such as 10.10.74.250 or 10.10.74.250/24`},
		{"virtual_ip", "10.10.74.300/24", "an IP address such as"},
		{"virtual_ip", "10.10.74.250/33", "a prefix length in 1-32"},
		{"virtual_ip", "10.10.74.250/-1", "a prefix length in 1-32"},
		{"virtual_ip", "10.10.74.250/0", "a prefix length in 1-32"},
		{"virtual_ip", "10.10.74.250/", "a prefix length in 1-32"},
		{"virtual_ip", "10.10.74.250/255.255.255.0", "a prefix length in 1-32"},
		{"virtual_ip", "2001:db8::1/129", "a prefix length in 1-128"},
		{"virtual_ip", "224.0.0.18/4", "a multicast address"},
		{"virtual_ip", "ff02::12", "a multicast address"},
		{"virtual_ip", "127.0.0.5/8", "a loopback address"},
		{"virtual_ip", "0.0.0.0", "the unspecified address"},
		{"virtual_ip", "::", "the unspecified address"},
		{"virtual_ip", "255.255.255.255", "the broadcast address"},
		{"virtual_ip", "10.10.74.255/24", "the broadcast address of 10.10.74.0/24"},
		{"virtual_ip", "10.10.74.0/24", "the network address of 10.10.74.0/24"},
		{"virtual_ip", "169.254.1.1", "a link-local address"},
		{"virtual_ip", "fe80::1", "a link-local address"},
		{"virtual_ip", "fe80::1%eth0", "a link-local address"},
		{"virtual_ip", "10.10.74.250%", "an IP address"},
		{"virtual_ip", "10.10.74.250%lo", "an IP address"},
		{"virtual_ip", "10.10.74.250/24%eth0", "a prefix length in 1-32"},
		{"virtual_ip", "2001:db8::250%eth0%eth1", "an IP address"},
		{"virtual_ip", "10.10.74.250%eth0/0", "a prefix length in 1-32"},
		{"virtual_ip", "10.10.74.255%eth0/24", "the broadcast address of 10.10.74.0/24"},
		{"virtual_ip", "10.10.74.250%eth0 10.10.74.250%eth1", "without duplicates, 10.10.74.250 stands there twice"},
		{"virtual_ip", "::ffff:10.0.0.1", "an IP address"},
		{"virtual_ip", "250.0.0.1", "a reserved address"},
		{"virtual_ip", "10.0.0.1 dev lo", "an IP address such as"},
		{"virtual_ip", "10.0.0.1, 10.0.0.2 10.0.0.1/24", "without duplicates, 10.0.0.1 stands there twice"},
		{"virtual_ip", "10.0.0.1\n}\nnotify_master /bin/sh", `option virtual_ip is "10.0.0.1\n}\nnotify_master /bin/sh"`},
		{"vip_hostname", "not a host!", "a host name such as api.example.com, or empty"},
		{"vip_hostname", "10.10.74.300", "a host name such as"},
		{"vip_hostname", "1.2.3", "a host name such as"},
		{"vip_hostname", "api..example.com", "a host name such as"},
		{"vip_hostname", ".", "a host name such as"},
		{"vip_hostname", "a\x00b", `option vip_hostname is "a\x00b"`},
		{"vip_hostname", strings.Repeat("a.", 127) + "a", "a host name"},
		{"port", json.Number("0"), `option port is "0", must be a whole number in 1-65535`},
		{"port", json.Number("65536"), "1-65535"},
		{"port", json.Number("99999999999999999999"), "1-65535"},
		{"router_id", json.Number("0"), "1-255"},
		{"router_id", json.Number("256"), "1-255"},
		{"router_id", json.Number("-1"), "1-255"},
		{"network_interface", "no such", "the name of a network interface"},
		{"network_interface", "eth0\n}", "the name of a network interface"},
		{"network_interface", "eth{0", "the name of a network interface"},
		{"network_interface", `eth"0`, "the name of a network interface"},
		{"network_interface", "lo", "the name of a network interface"},
		{"network_interface", "sixteencharacter", "the name of a network interface"},
		{"healthcheck_interval", json.Number("0"), "1-3600"},
		{"healthcheck_interval", json.Number("-5"), "1-3600"},
		{"healthcheck_interval", json.Number("100000000"), "1-3600"},
		{"healthcheck_type", "ping", "one of tcp, http, https, unit, none"},
		{"healthcheck_target", "example.com:443", "ADDRESS:PORT such as"},
		{"healthcheck_target", "localhost", "ADDRESS:PORT such as"},
		{"healthcheck_target", "127.0.0.1:0", "ADDRESS:PORT such as"},
		{"healthcheck_target", "[fe80::1]:443", "ADDRESS:PORT such as"},
		{"healthcheck_target", "255.255.255.255:443", "ADDRESS:PORT such as"},
		{"healthcheck_timeout", json.Number("0"), "seconds in 0.1-60"},
		{"healthcheck_timeout", "NaN", "seconds in 0.1-60"},
		{"healthcheck_path", "healthz", `option healthcheck_path is "healthz", must be a path`},
		{"healthcheck_path", "/a b", "a path with"},
		{"healthcheck_path", "/100%", "a path with"},
		{"healthcheck_path", "/" + strings.Repeat("a", 1024), "a path with"},
		{"healthcheck_host", "www.example.com/", "a host name such as"},
		{"healthcheck_host", "www.example.com:8443", "a host name such as"},
		{"healthcheck_host", "10.10.74", "a host name such as"},
		{"healthcheck_host", ":", "a host name such as"},
		{"healthcheck_status", "99", "within 100-599"},
		{"healthcheck_status", "400-300", "an HTTP status or a range"},
		{"healthcheck_status", "2xx", "an HTTP status or a range"},
		{"healthcheck_ca", "hello", "certificates in PEM"},
		{"healthcheck_ca", strings.Repeat("a", 1<<17), "at most 65536 bytes"},
		{"all_unhealthy", "hold", "one of keep, drop"},
		{"preempt", "yes", "true or false"},
		{"advert_interval", json.Number("0.04"), "seconds in 0.05-40.95"},
		{"advert_interval", json.Number("1e9"), "seconds in 0.05-40.95"},
		{"virtual_ip", 5, "a string"},
		{"vrrp_version", "4", "one of auto, 2, 3"},
		{"vrrp_mode", "broadcast", "one of multicast, unicast"},
	} {
		t.Run(fmt.Sprintf("%s %q", c.option, fmt.Sprint(c.value)), func(t *testing.T) {
			_, err := config.Parse(map[string]any{c.option: c.value})
			var invalid *config.Invalid
			require.ErrorAs(t, err, &invalid)
			assert.Equal(t, c.option, invalid.Option)
			assert.Contains(t, err.Error(), c.want)
			assert.NotContains(t, err.Error(), "\n")
		})
	}
}

// FuzzParse holds what every renderer relies on: no string that passed can end
// a word or a line, or open a block, a quote or a comment.
func FuzzParse(f *testing.F) {
	f.Add("10.10.74.250/24", "api.example.com", "eth0", "127.0.0.1:443", "tcp")
	f.Add("2001:db8::1/64 ", "", "bond0.1", "[::1]:80", "https")
	f.Add("10.0.0.1%eth1/24", "", "", "", "tcp")
	f.Add("10.0.0.1,10.0.0.2", "", "", "haproxy@1.service", "unit")
	f.Add("10.0.0.1\n}", "a b", "eth0{", "\"", "none")
	f.Fuzz(func(t *testing.T, vip, hostname, iface, target, kind string) {
		o, err := config.Parse(map[string]any{"virtual_ip": vip, "vip_hostname": hostname,
			"network_interface": iface, "healthcheck_target": target, "healthcheck_type": kind})
		if err != nil {
			require.NotContains(t, err.Error(), "\n")
			return
		}
		// The name of a unit may hold backslashes; it is rendered as JSON.
		rendered := []string{o.Hostname, o.Interface, strings.ReplaceAll(o.Check.Target, `\`, "")}
		for _, v := range o.VirtualIPs {
			require.True(t, v.IsValid())
			rendered = append(rendered, v.String(), v.Interface)
		}
		for _, s := range rendered {
			require.False(t, strings.ContainsFunc(s, func(r rune) bool {
				return unicode.IsSpace(r) || unicode.IsControl(r) || r > unicode.MaxASCII || strings.ContainsRune(`{}"'!#$\;`, r)
			}), "%q", s)
		}
	})
}

func TestVersion2NeedsAnIPv4Address(t *testing.T) {
	for _, c := range []struct{ claim, version, addresses, fault string }{
		{"IPv6 alone", "2", "2001:db8::250, 2001:db8::251", `option vrrp_version is "2", must be auto or 3 while every address in virtual_ip is IPv6`},
		{"both families", "2", "2001:db8::250, 10.10.74.250", ""},
		{"IPv4 alone", "2", "10.10.74.250", ""},
		{"nothing yet", "2", "", ""},
		{"IPv6 alone with version 3", "3", "2001:db8::250", ""},
		{"IPv6 alone with the default", "auto", "2001:db8::250", ""},
	} {
		_, err := config.Parse(map[string]any{"vrrp_version": c.version, "virtual_ip": c.addresses, "advert_interval": json.Number("1")})
		if c.fault == "" {
			require.NoError(t, err, c.claim)
		} else {
			require.EqualError(t, err, c.fault, c.claim)
		}
	}
}

func TestNamesThatThePythonCharmPublishedAreTakenAsTheyAre(t *testing.T) {
	for _, name := range []string{"api", "api.example.com", "api.example.com.", "api_v1.example.com", "_api.example.com", "3com.example", "xn--bcher-kva.example", "10.10.74.250", "2001:db8::1"} {
		o, err := config.Parse(map[string]any{"vip_hostname": name})
		require.NoError(t, err)
		require.Equal(t, name, o.Hostname)
	}
}
