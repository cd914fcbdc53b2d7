package config_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"keepalived-charm/internal/config"
	"keepalived-charm/internal/healthcheck"
)

// checker is a complete configuration of the health checker with this check.
func checker(c config.Check) healthcheck.Config {
	if c.CA != "" {
		c.Check.CA = "/ca.pem"
	}
	return healthcheck.Config{Application: "a", Check: c.Check, Instances: []healthcheck.Instance{{
		Name: "a", TrackFile: "/a", Interface: "lo", Addresses: []netip.Addr{netip.MustParseAddr("10.0.0.1")}}}}
}

// FuzzParseWhatConfigGetPrints: whatever types and values Juju prints, the options
// are in their ranges or one of them is named.
func FuzzParseWhatConfigGetPrints(f *testing.F) {
	f.Add(`{"port":443,"router_id":23,"advert_interval":0.2,"preempt":true,"healthcheck_type":"none","all_unhealthy":"drop"}`)
	f.Add(`{"port":"443","router_id":null,"healthcheck_fall":3,"healthcheck_rise":20,"healthcheck_timeout":60}`)
	f.Add(`{"port":4.43e2,"healthcheck_interval":1e9,"healthcheck_timeout":"NaN","advert_interval":-0}`)
	f.Add(`{"healthcheck_type":"https","healthcheck_path":"/a?b","healthcheck_host":"a.b","healthcheck_status":"200","healthcheck_ca":""}`)
	f.Add(`{"healthcheck_type":"unit","healthcheck_target":"haproxy.service","healthcheck_path":"/%2f"}`)
	f.Add(`{"virtual_ip":["10.0.0.1"],"preempt":"true","router_id":{}}`)
	f.Fuzz(func(t *testing.T, text string) {
		var raw map[string]any
		d := json.NewDecoder(bytes.NewReader([]byte(text)))
		d.UseNumber()
		if d.Decode(&raw) != nil {
			return
		}
		o, err := config.Parse(raw)
		if err != nil {
			var invalid *config.Invalid
			require.True(t, errors.As(err, &invalid))
			require.Contains(t, config.Defaults(), invalid.Option)
			require.NotContains(t, err.Error(), "\n")
			return
		}
		between := func(least, n, most int) { require.True(t, least <= n && n <= most, "%d", n) }
		between(1, o.Port, 65535)
		between(1, int(o.VirtualRouterID), 255)
		require.NoError(t, checker(o.Check).Validate(), "the checker takes it")
		if o.Check.Type == healthcheck.None {
			return
		}
		between(1, o.Check.Fall, 20)
		between(1, o.Check.Rise, 20)
		interval, timeout := time.Duration(o.Check.Interval), time.Duration(o.Check.Timeout)
		require.True(t, interval >= time.Second && interval <= 300*time.Second)
		require.True(t, timeout >= 100*time.Millisecond && timeout <= time.Minute)
	})
}
