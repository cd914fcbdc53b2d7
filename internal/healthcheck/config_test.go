package healthcheck_test

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"keepalived-charm/internal/healthcheck"
)

// sample is a valid configuration.
func sample() healthcheck.Config {
	return healthcheck.Config{
		Application: "keepalived",
		Instances: []healthcheck.Instance{{
			Name:      "VI_1",
			TrackFile: "/run/keepalived-charm/keepalived/VI_1",
			Interface: "eth0",
			Addresses: []netip.Addr{netip.MustParseAddr("10.0.0.5"), netip.MustParseAddr("2001:db8::5")},
		}},
		Peers:      true,
		StatusFile: "/run/keepalived-charm/keepalived/status.json",
		Check: healthcheck.Check{
			Type: healthcheck.TCP, Target: "127.0.0.1:443",
			Interval: healthcheck.DefaultInterval, Timeout: healthcheck.DefaultTimeout,
			Fall: healthcheck.DefaultFall, Rise: healthcheck.DefaultRise,
		},
	}
}

const sampleText = `{
  "version": 2,
  "application": "keepalived",
  "instances": [
    {
      "name": "VI_1",
      "track_file": "/run/keepalived-charm/keepalived/VI_1",
      "interface": "eth0",
      "addresses": [
        "10.0.0.5",
        "2001:db8::5"
      ]
    }
  ],
  "policy": {
    "preempt": false,
    "drop_all_unhealthy": false
  },
  "peers": true,
  "status_file": "/run/keepalived-charm/keepalived/status.json",
  "check": {
    "type": "tcp",
    "target": "127.0.0.1:443",
    "interval": "1s",
    "timeout": "1s",
    "fall": 3,
    "rise": 2
  }
}
`

func TestMarshalWritesWhatParseReads(t *testing.T) {
	data, err := sample().Marshal()
	require.NoError(t, err)
	require.Equal(t, sampleText, string(data))
	back, err := healthcheck.Parse(data)
	require.NoError(t, err)
	require.Equal(t, sample(), back)
}

func TestEveryCheckTypeHasAValidForm(t *testing.T) {
	timing := sample().Check
	for name, change := range map[string]func(*healthcheck.Check){
		"tcp IPv6":  func(c *healthcheck.Check) { c.Target = "[::1]:443" },
		"localhost": func(c *healthcheck.Check) { c.Target = "localhost:443" },
		"http": func(c *healthcheck.Check) {
			c.Type, c.Path, c.Host = healthcheck.HTTP, "/healthz?full=1&x=%20", "www.example.com"
		},
		"https with CA": func(c *healthcheck.Check) {
			c.Type, c.CA, c.ExpectStatus = healthcheck.HTTPS, "/etc/ssl/ca.pem", healthcheck.StatusRange{Min: 204, Max: 204}
		},
		"unit": func(c *healthcheck.Check) { c.Type, c.Target = healthcheck.Unit, `getty@tty1\x2d.service` },
		"none": func(c *healthcheck.Check) { *c = healthcheck.Check{Type: healthcheck.None} },
	} {
		t.Run(name, func(t *testing.T) {
			c := sample()
			c.Check = timing
			change(&c.Check)
			data, err := c.Marshal()
			require.NoError(t, err)
			back, err := healthcheck.Parse(data)
			require.NoError(t, err)
			require.Equal(t, c, back)
		})
	}
}

func TestParseNamesWhatIsWrong(t *testing.T) {
	for _, c := range []struct{ old, text, message string }{
		{`"version": 2`, `"version": 3, "colour": "red"`, `it is of version 3, this revision of the charm reads version 2`},
		{`"interface": "eth0"`, `"interface": "eth0", "vrrp_version": 4`, `instance "VI_1": there is no version 4 of VRRP`},
		{`"interface": "eth0"`, `"interface": "eth0", "vrrp_version": 3, "auth": "12ab"`, `instance "VI_1": "12ab" is no fingerprint of a password of VRRP version 2`},
		{`"interface": "eth0"`, `"interface": "eth0", "vrrp_version": 2, "auth": "12a"`, `instance "VI_1": "12a" is no fingerprint of a password of VRRP version 2`},
		{`"peers": true`, `"peer": true`, `json: unknown field "peer"`},
		{"}\n", "} {}", "there is more than one JSON value"},
		{`"keepalived",`, `"a b",`, `application "a b" is not a plain name`},
		{`"VI_1",`, `"VI\n1",`, `instance "VI\n1" is not a plain name`},
		{`charm/keepalived/VI_1`, `charm/../VI_1`, `instance "VI_1": track file "/run/keepalived-charm/../VI_1" is not an absolute path`},
		{`charm/keepalived/VI_1`, `charm/keepalived/status.json`, `file "/run/keepalived-charm/keepalived/status.json" is named twice`},
		{`"eth0"`, `"eth0 {"`, `instance "VI_1": "eth0 {" is not an interface name`},
		{`"10.0.0.5",`, `"10.0.0.500",`, `ParseAddr("10.0.0.500"): IPv4 field has value >255`},
		{`"10.0.0.5",`, `"0.0.0.0",`, `instance "VI_1": "0.0.0.0" is not an address it can hold`},
		{`"10.0.0.5",`, `"",`, `instance "VI_1": "invalid IP" is not an address it can hold`},
		{`"tcp"`, `"icmp"`, `check type "icmp" is not one of tcp, http, https, unit, none`},
		{`"tcp"`, `"none"`, `a check of type none takes no settings`},
		{`"tcp"`, `"unit"`, `check target "127.0.0.1:443" is not the name of a systemd unit`},
		{`"tcp"`, `"tcp", "path": "/"`, `a check of type tcp takes no path, host or status`},
		{`"tcp"`, `"http", "ca": "/ca"`, `a check of type http takes no CA`},
		{`"tcp"`, `"http", "path": "/ x"`, `check path "/ x" is not a URL path`},
		{`"tcp"`, `"http", "path": "/100%"`, `check path "/100%" is not a URL path`},
		{`"tcp"`, `"http", "host": "a\r\nb"`, `check host "a\r\nb" is not a host name`},
		{`"tcp"`, `"http", "expect_status": "399-200"`, `"399-200" is not an HTTP status such as 200 or 200-399`},
		{`127.0.0.1:443`, `example.com:443`, `check target "example.com:443" is not ADDRESS:PORT`},
		{`127.0.0.1:443`, `127.0.0.1:0`, `check target "127.0.0.1:0" is not ADDRESS:PORT`},
		{`127.0.0.1:443`, `localhost:65536`, `check target "localhost:65536" is not ADDRESS:PORT`},
		{`127.0.0.1:443`, `[fe80::1]:443`, `check target "[fe80::1]:443" is not ADDRESS:PORT`},
		{`127.0.0.1:443`, `[::ffff:127.0.0.1]:443`, `check target "[::ffff:127.0.0.1]:443" is not ADDRESS:PORT`},
		{`127.0.0.1:443`, `255.255.255.255:443`, `check target "255.255.255.255:443" is not ADDRESS:PORT`},
		{`"application"`, `"advert_interval": "-1s", "application"`, `advertisement interval -1s is negative`},
		{`"interval": "1s"`, `"interval": "99ms"`, `check interval 99ms is not within 100ms-1h`},
		{`"interval": "1s"`, `"interval": "fast"`, `"fast" is not a duration such as 1s or 150ms`},
		{`"timeout": "1s"`, `"timeout": "61s"`, `check timeout 1m1s is not within 10ms-1m`},
		{`"fall": 3`, `"fall": 0`, `check fall 0 is not within 1-100`},
		{`"rise": 2`, `"rise": 101`, `check rise 101 is not within 1-100`},
	} {
		t.Run(c.message, func(t *testing.T) {
			i := strings.LastIndex(sampleText, c.old)
			require.GreaterOrEqual(t, i, 0)
			_, err := healthcheck.Parse([]byte(sampleText[:i] + c.text + sampleText[i+len(c.old):]))
			require.ErrorContains(t, err, c.message)
		})
	}
}

func TestVirtualIPsAreWhatInstancesCarryButForTheAnchor(t *testing.T) {
	c := sample()
	own := []netip.Addr{netip.MustParseAddr("10.0.0.5"), netip.MustParseAddr("2001:db8::5")}
	require.Equal(t, own, c.VirtualIPs(), "the first one is advertised")
	c.Instances[0].Addresses = append([]netip.Addr{netip.MustParseAddr("169.254.23.112")}, own...)
	require.Equal(t, own, c.VirtualIPs())
	six := c.Instances[0]
	six.Addresses = []netip.Addr{netip.MustParseAddr("fd70:7672:7270::1770"), netip.MustParseAddr("2001:db8::6")}
	c.Instances = append(c.Instances, six)
	require.Equal(t, append(own, netip.MustParseAddr("2001:db8::6")), c.VirtualIPs())
}

func TestInstancesHaveTheirOwnNames(t *testing.T) {
	c := sample()
	c.Instances = append(c.Instances, c.Instances[0])
	require.EqualError(t, c.Validate(), `instance "VI_1" is named twice`)
	c.Instances[1].Name = "VI_2"
	require.ErrorContains(t, c.Validate(), "is named twice")
	c.Instances = nil
	require.EqualError(t, c.Validate(), "there is no instance")
}

func TestStatusRangeDefaultsToWhatBrowsersShow(t *testing.T) {
	for status, good := range map[int]bool{199: false, 200: true, 302: true, 399: true, 400: false, 503: false} {
		require.Equal(t, good, healthcheck.StatusRange{}.Contains(status), "%d", status)
	}
}

// FuzzParse: what is accepted is within the documented bounds and comes back
// from its own text.
func FuzzParse(f *testing.F) {
	f.Add([]byte(sampleText))
	f.Add([]byte(strings.ReplaceAll(sampleText, `"tcp"`, `"https", "path": "/x?y", "host": "h", "expect_status": "200"`)))
	f.Add([]byte(`{"application":"a","instances":[{}],"check":{"type":"none"}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := healthcheck.Parse(data)
		if err != nil {
			require.NotContains(t, err.Error(), "\n")
			return
		}
		text, err := c.Marshal()
		require.NoError(t, err)
		back, err := healthcheck.Parse(text)
		require.NoError(t, err)
		again, err := back.Marshal()
		require.NoError(t, err)
		require.Equal(t, string(text), string(again))
		for _, s := range []string{c.Application, c.Check.Target, c.Check.Path, c.Check.Host, c.Instances[0].Name, c.Instances[0].Interface} {
			require.False(t, strings.ContainsAny(s, " \t\r\n\x00{}\""), "%q", s)
		}
		require.LessOrEqual(t, time.Duration(c.Check.Interval), time.Hour)
	})
}
