package config_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"keepalived-charm/internal/config"
	"keepalived-charm/internal/healthcheck"
)

func TestEveryTypeOfCheckGetsWhatItNeeds(t *testing.T) {
	timing := healthcheck.Check{Interval: healthcheck.DefaultInterval, Timeout: healthcheck.DefaultTimeout,
		Fall: healthcheck.DefaultFall, Rise: healthcheck.DefaultRise}
	with := func(change func(*healthcheck.Check)) healthcheck.Check {
		c := timing
		change(&c)
		return c
	}
	for claim, c := range map[string]struct {
		raw  map[string]any
		want healthcheck.Check
	}{
		"tcp goes to localhost, which is both families": {
			map[string]any{"port": 8443},
			with(func(c *healthcheck.Check) { c.Type, c.Target = healthcheck.TCP, "localhost:8443" }),
		},
		"tcp takes no path": {
			map[string]any{"healthcheck_target": "localhost:80", "healthcheck_path": "/x", "healthcheck_host": "y", "healthcheck_status": "204"},
			with(func(c *healthcheck.Check) { c.Type, c.Target = healthcheck.TCP, "localhost:80" }),
		},
		"http asks for / and wants a good status or a redirection": {
			map[string]any{"healthcheck_type": "http"},
			with(func(c *healthcheck.Check) {
				c.Type, c.Target, c.Path = healthcheck.HTTP, "localhost:443", "/"
				c.ExpectStatus = healthcheck.StatusRange{Min: 200, Max: 399}
			}),
		},
		"https with all there is": {
			map[string]any{"healthcheck_type": "https", "healthcheck_target": "[::1]:8443", "healthcheck_path": "/healthz?full=1",
				"healthcheck_host": "www.example.com", "healthcheck_status": "204"},
			with(func(c *healthcheck.Check) {
				c.Type, c.Target, c.Path, c.Host = healthcheck.HTTPS, "[::1]:8443", "/healthz?full=1", "www.example.com"
				c.ExpectStatus = healthcheck.StatusRange{Min: 204, Max: 204}
			}),
		},
		"unit": {
			map[string]any{"healthcheck_type": "unit", "healthcheck_target": " haproxy.service"},
			with(func(c *healthcheck.Check) { c.Type, c.Target = healthcheck.Unit, "haproxy.service" }),
		},
		"none takes nothing": {
			map[string]any{"healthcheck_type": "none", "healthcheck_target": "haproxy.service", "healthcheck_interval": 5},
			healthcheck.Check{Type: healthcheck.None},
		},
	} {
		t.Run(claim, func(t *testing.T) {
			o, err := config.Parse(c.raw)
			require.NoError(t, err)
			require.Equal(t, c.want, o.Check.Check)
			require.NoError(t, checker(o.Check).Validate())
		})
	}
}

func TestAUnitMustBeNamed(t *testing.T) {
	for _, target := range []string{"", "haproxy", "haproxy.device", "127.0.0.1:443", "a b.service", ".service", "haproxy@.service", "@.service", "@x.service"} {
		_, err := config.Parse(map[string]any{"healthcheck_type": "unit", "healthcheck_target": target})
		require.ErrorContains(t, err, "must be the name of a systemd unit such as haproxy.service while healthcheck_type is unit")
	}
	_, err := config.Parse(map[string]any{"healthcheck_type": "http", "healthcheck_target": "haproxy.service"})
	require.ErrorContains(t, err, "must be ADDRESS:PORT")
}

// certificate is one in PEM, and its key.
func certificate(t *testing.T) (cert, key string) {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, k.Public(), k)
	require.NoError(t, err)
	private, err := x509.MarshalECPrivateKey(k)
	require.NoError(t, err)
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})),
		string(pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: private}))
}

func TestOfACAOnlyTheCertificatesAreKept(t *testing.T) {
	one, key := certificate(t)
	two, _ := certificate(t)
	parse := func(ca string) (string, error) {
		o, err := config.Parse(map[string]any{"healthcheck_type": "https", "healthcheck_ca": ca})
		return o.Check.CA, err
	}
	for given, want := range map[string]string{
		"":   "",
		"\n": "",
		one:  one,
		"# our CA\n" + one + "\nand the old one:\n" + two + "\n": one + two,
	} {
		got, err := parse(given)
		require.NoError(t, err)
		assert.Equal(t, want, got)
	}
	for given, want := range map[string]string{
		key + one: `option healthcheck_ca is "-----BEGIN EC PRIVATE KEY--...", must be certificates in PEM (BEGIN CERTIFICATE), or empty, a block of another type is among them`,
		one + key: "a block of another type is among them",
		"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n": "one of them cannot be read",
		"/etc/ssl/ca.pem": "certificates in PEM",
	} {
		_, err := parse(given)
		require.ErrorContains(t, err, want)
	}
	o, err := config.Parse(map[string]any{"healthcheck_type": "tcp", "healthcheck_ca": one})
	require.NoError(t, err)
	require.Empty(t, o.Check.CA, "tcp trusts nobody")
}
