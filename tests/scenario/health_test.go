package scenario_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"maps"
	"math/big"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"keepalived-charm/tests/lab"
	"keepalived-charm/tests/poll"
)

// TestHealthChecks looks at what can be checked and what follows from it.
func TestHealthChecks(t *testing.T) {
	t.Parallel()
	d := deploy(t, serving())
	d.checkTypes(t)
	d.failingEverywhere(t)
	d.policies(t)
}

// on runs a script on every machine with a unit.
func (d *deployment) on(t *testing.T, script string) {
	t.Helper()
	for _, unit := range d.units() {
		d.run(t, d.machineOf(t, unit), script)
	}
}

// allTurn waits until every checker has a verdict.
func (d *deployment) allTurn(t *testing.T, verdict string) {
	t.Helper()
	for _, unit := range d.units() {
		poll.Until(t, func() bool { return d.verdict(t, unit) == verdict }, 10*time.Second, 50*time.Millisecond,
			"%s becomes %s", unit, verdict)
	}
}

// ownCertificate is a certificate for a name, with its key, both PEM.
func ownCertificate(t *testing.T, name string) (cert, key string) {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{name}, IPAddresses: []net.IP{net.IPv6loopback},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, k.Public(), k)
	require.NoError(t, err)
	private, err := x509.MarshalPKCS8PrivateKey(k)
	require.NoError(t, err)
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})),
		string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}))
}

func (d *deployment) checkTypes(t *testing.T) {
	cert, key := ownCertificate(t, "www.example.com")
	stranger, _ := ownCertificate(t, "www.example.com")
	for _, unit := range d.units() {
		m, err := d.Machine(d.machineOf(t, unit))
		require.NoError(t, err)
		require.NoError(t, m.WriteFile(d.ctx, "/etc/haproxy/lab.pem", []byte(cert+key), 0o600))
		d.run(t, d.machineOf(t, unit), `cat >>/etc/haproxy/haproxy.cfg <<'END'
frontend six
	bind [::1]:9006 v6only
	http-request return status 200 content-type text/plain string up
frontend tls
	bind [::1]:9443 v6only ssl crt /etc/haproxy/lab.pem
	http-request deny deny_status 421 if !{ hdr(host) www.example.com }
	http-request deny deny_status 503 if { path /broken }
	http-request return status 200 content-type text/plain string up
END
systemctl reload haproxy`)
	}
	https := map[string]string{"healthcheck_type": "https", "port": "9443", "healthcheck_host": "www.example.com"}
	with := func(name, value string) map[string]string {
		values := maps.Clone(https)
		values[name] = value
		return values
	}
	for _, row := range []struct {
		claim, verdict string
		options        map[string]string
	}{
		{"tcp finds a service that listens on IPv6 only", "healthy", map[string]string{"port": "9006"}},
		{"http does too", "healthy", map[string]string{"healthcheck_type": "http", "port": "9006"}},
		{"http wants the status it is told", "sick", map[string]string{"healthcheck_type": "http", "healthcheck_status": "204"}},
		{"https verifies nothing by default", "healthy", https},
		{"https trusts a CA", "healthy", with("healthcheck_ca", cert)},
		{"https trusts no other", "sick", with("healthcheck_ca", stranger)},
		{"https asks for the path", "sick", with("healthcheck_path", "/broken")},
		{"https sends the host", "sick", with("healthcheck_host", "")},
		{"an active systemd unit is healthy", "healthy", map[string]string{"healthcheck_type": "unit", "healthcheck_target": "haproxy.service"}},
		{"one that does not exist is not", "sick", map[string]string{"healthcheck_type": "unit", "healthcheck_target": "nosuch.service"}},
	} {
		d.scenario(t, row.claim, func(t *testing.T) {
			require.NoError(t, d.SetConfig("keepalived", row.options))
			t.Cleanup(func() {
				require.NoError(t, d.ResetConfig("keepalived", "healthcheck_type", "healthcheck_target", "healthcheck_path",
					"healthcheck_host", "healthcheck_status", "healthcheck_ca", "port"))
				d.settled(t)
			})
			d.settled(t)
			d.allTurn(t, row.verdict)
			if row.verdict == "healthy" {
				d.allSay(t, "active", "VIP ready")
			}
			for _, unit := range d.units() {
				message := d.workload(t, unit).Message
				require.Equal(t, row.verdict == "sick", strings.Contains(message, "; check fails"), "%s says %q", unit, message)
				files := d.run(t, d.machineOf(t, unit), "find /var/lib/keepalived-charm/keepalived -name '*.pem' -printf '%u %m '")
				require.Equal(t, row.options["healthcheck_ca"] != "", files == "root 640 ", "the CA is a file of root's: %q", files)
			}
		})
	}
	d.scenario(t, "a systemd unit that stops moves the virtual IP", func(t *testing.T) {
		d.configure(t, "healthcheck_type=unit", "healthcheck_target=haproxy.service")
		t.Cleanup(func() {
			require.NoError(t, d.ResetConfig("keepalived", "healthcheck_type", "healthcheck_target"))
			d.repaired(t)
		})
		holder := d.ready(t)
		moved(t, d.measure(t, 2*time.Second, func() { d.run(t, holder, "systemctl stop haproxy") }), serviceDies)
	})
}

func (d *deployment) failingEverywhere(t *testing.T) {
	d.scenario(t, "a check that fails on every unit questions the port, and the virtual IP stays", func(t *testing.T) {
		holder := d.ready(t)
		t.Cleanup(func() { d.configure(t, "port=443") })
		unnoticed(t, d.measure(t, 2*time.Second, func() {
			// The holder's check fails last, or the virtual IP moves to one that has not failed yet.
			d.held(t, holder)
			require.NoError(t, d.SetConfig("keepalived", map[string]string{"port": "4443"}))
			for _, id := range d.standbys(t, holder) {
				poll.Until(t, func() bool { return d.verdict(t, d.unitOn(t, id)) == "sick" }, time.Minute, 50*time.Millisecond)
			}
			d.hold(t, holder, false)
			d.settled(t)
		}))
		require.Equal(t, holder, d.waitHolder(t))
		for _, unit := range d.units() {
			d.says(t, unit, "; check fails on every unit: is port 4443 right? Here: cannot connect to 127.0.0.1:4443: connection refused")
		}
		d.configure(t, "port=443")
		d.ready(t)
		d.allSay(t, "active", "VIP ready")
		for _, unit := range d.units() {
			require.NotContains(t, d.workload(t, unit).Message, "check")
		}
	})
}

// policies shows every combination of all_unhealthy and preempt: the first service
// fails, then all do, then they come back, the last one's first.
func (d *deployment) policies(t *testing.T) {
	for _, keep := range []bool{true, false} {
		for _, preempt := range []bool{false, true} {
			unhealthy := map[bool]string{true: "keep", false: "drop"}[keep]
			d.scenario(t, fmt.Sprintf("all_unhealthy=%s preempt=%v", unhealthy, preempt), func(t *testing.T) {
				d.configure(t, "all_unhealthy="+unhealthy, fmt.Sprintf("preempt=%v", preempt))
				d.repaired(t)
				// Nobody is held back by what an earlier scenario did.
				d.on(t, "systemctl stop "+checkerService+"; printf '0    \n' >"+trackFile+"; systemctl start "+checkerService)
				first := d.ready(t)
				if preempt {
					first = d.machineOf(t, "keepalived/0")
					poll.Until(t, func() bool { id, err := d.Holder(lab.VIP); return err == nil && id == first }, 5*time.Second, 20*time.Millisecond)
				}
				moved(t, d.measure(t, 1500*time.Millisecond, func() { d.run(t, first, "systemctl stop haproxy") }), serviceDies)
				second := d.waitHolder(t)
				require.NotEqual(t, first, second)
				m := d.measure(t, 3*time.Second, func() { d.run(t, first, "systemctl start haproxy") })
				unnoticed(t, m)
				d.ready(t)

				d.on(t, "systemctl stop haproxy")
				d.allTurn(t, "sick")
				time.Sleep(1500 * time.Millisecond)
				if keep {
					require.Len(t, d.holders(lab.VIP), 1, "one unit keeps it")
				} else {
					require.Empty(t, d.holders(lab.VIP), "nobody keeps it")
				}
				// The one that is held back longest is the first to work again.
				d.run(t, first, "systemctl start haproxy")
				poll.Until(t, func() bool { id, err := d.Holder(lab.VIP); return err == nil && id == first }, 10*time.Second, 20*time.Millisecond,
					"a unit that is held back serves when no other can")
				d.repaired(t)
			})
		}
	}
	require.NoError(t, d.ResetConfig("keepalived", "all_unhealthy", "preempt"))
	d.repaired(t)
}
