package checker

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"keepalived-charm/internal/healthcheck"
	"keepalived-charm/internal/poll"
)

// stall serves connections with do, which ends with its connection.
func stall(t *testing.T, do func(conn net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { l.Close() })
	go func() {
		for conn, err := l.Accept(); err == nil; conn, err = l.Accept() {
			go func() {
				defer conn.Close()
				do(conn)
				io.Copy(io.Discard, conn)
			}()
		}
	}()
	return l.Addr().String()
}

// asked waits for a request's header.
func asked(conn net.Conn) {
	for r := bufio.NewReader(conn); ; {
		if line, err := r.ReadString('\n'); err != nil || line == "\r\n" {
			return
		}
	}
}

// dribble writes again and again until nobody reads.
func dribble(conn net.Conn, text string) {
	for _, err := io.WriteString(conn, text); err == nil; _, err = io.WriteString(conn, text) {
		time.Sleep(time.Millisecond)
	}
}

// filled is a place whose backlog is full: connections to it are not made.
func filled(t *testing.T) string {
	at := rawListener(t, unix.AF_INET, 0).String()
	conn, err := net.Dial("tcp", at)
	require.NoError(t, err)
	t.Cleanup(func() { conn.Close() })
	return at
}

// cheapCertificate is one with which a handshake takes little: thousands are made.
func cheapCertificate(t *testing.T) tls.Certificate {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	text, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{SerialNumber: big.NewInt(1)}, &x509.Certificate{}, key.Public(), key)
	require.NoError(t, err)
	return tls.Certificate{Certificate: [][]byte{text}, PrivateKey: key}
}

func descriptors(t *testing.T) int {
	all, err := os.ReadDir("/proc/self/fd")
	require.NoError(t, err)
	return len(all)
}

// TestEveryCheckEndsWhatItBegan: a thousand checks of a service that hangs before or in its
// answer, and some of one that hangs elsewhere, leave no socket and no goroutine behind.
func TestEveryCheckEndsWhatItBegan(t *testing.T) {
	config := &tls.Config{Certificates: []tls.Certificate{cheapCertificate(t)}, CurvePreferences: []tls.CurveID{tls.X25519}, SessionTicketsDisabled: true}
	secured := func(do func(net.Conn)) func(net.Conn) {
		return func(conn net.Conn) {
			secure := tls.Server(conn, config)
			if secure.Handshake() == nil {
				do(secure)
				io.Copy(io.Discard, secure)
			}
		}
	}
	const ok = "HTTP/1.1 200 OK\r\n"
	places := map[string]func(net.Conn){
		"in silence":         func(net.Conn) {},
		"after the request":  asked,
		"in the status line": func(c net.Conn) { io.WriteString(c, "HTTP/1.1 2") },
		"in the header":      func(c net.Conn) { asked(c); io.WriteString(c, ok); dribble(c, "X-Slow: 1\r\n") },
		"in interim answers": func(c net.Conn) { asked(c); dribble(c, "HTTP/1.1 103 Early Hints\r\n\r\n") },
		"in the body":        func(c net.Conn) { asked(c); io.WriteString(c, ok+"Content-Length: 1000000\r\n\r\n"); dribble(c, "x") },
		"in the body, in chunks": func(c net.Conn) {
			asked(c)
			io.WriteString(c, ok+"Transfer-Encoding: chunked\r\n\r\n")
			dribble(c, "1\r\nx\r\n")
		},
		"after a redirect":            func(c net.Conn) { asked(c); io.WriteString(c, "HTTP/1.1 302 Found\r\nLocation: /\r\n\r\n") },
		"after it was asked to go on": func(c net.Conn) { asked(c); io.WriteString(c, "HTTP/1.1 100 Continue\r\n\r\n") },
	}
	often := []string{"connecting", "accepting", "in the handshake", "in the header", "in the body"}
	type hung struct {
		kind   healthcheck.Type
		claim  string
		target string
	}
	all := []hung{{healthcheck.TCP, "connecting", filled(t)}, {healthcheck.HTTP, "connecting", filled(t)}, {healthcheck.HTTPS, "connecting", filled(t)},
		{healthcheck.TCP, "accepting", rawListener(t, unix.AF_INET, 1000).String()},
		{healthcheck.HTTPS, "in the handshake", stall(t, func(net.Conn) {})},
		{healthcheck.HTTPS, "half way in the handshake", stall(t, func(c net.Conn) { c.Read(make([]byte, 1)); io.WriteString(c, "\x16\x03\x03\x01\x00") })}}
	silent, _ := twoOnly(t, true, nil, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	all = append(all, hung{healthcheck.HTTPS, "in HTTP/2", silent})
	for claim, do := range places {
		all = append(all, hung{healthcheck.HTTP, claim, stall(t, do)}, hung{healthcheck.HTTPS, claim, stall(t, secured(do))})
	}
	probers := map[hung]prober{} // each has a socket of its own for good
	for _, h := range all {
		p, err := newProber(healthcheck.Config{Check: healthcheck.Check{Type: h.kind, Target: h.target}})
		require.NoError(t, err)
		probers[h] = p
	}
	leavesNothing(t, func() {
		t.Run("hangs", func(t *testing.T) { // ends when all of them have
			for _, h := range all {
				t.Run(string(h.kind)+" "+h.claim, func(t *testing.T) {
					t.Parallel()
					rounds := 2
					if slices.Contains(often, h.claim) {
						rounds = 20
					}
					for range rounds {
						var checks sync.WaitGroup
						for range 50 {
							checks.Go(func() { briefly(t, probers[h]) })
						}
						checks.Wait()
					}
				})
			}
		})
	})
}

// briefly carries out a check that has little time.
func briefly(t *testing.T, p prober) error {
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
	defer cancel()
	_, err := p.probe(ctx)
	return err
}

// leavesNothing looks at what is left after do. Garbage is left alone meanwhile: collecting
// it would close what was forgotten.
func leavesNothing(t *testing.T, do func()) {
	t.Helper()
	runtime.GC()
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	sockets, routines := descriptors(t), runtime.NumGoroutine()
	do()
	// The service's ends go soon after.
	poll.Until(t, func() bool { return descriptors(t) <= sockets && runtime.NumGoroutine() <= routines }, time.Minute, 10*time.Millisecond,
		"descriptors and goroutines are those of before; -run Test/hangs/PLACE tells of which checks")
}

// TestABusThatHangsIsLeftToItself: one that takes connections and answers nothing, and
// one that hangs after it has answered.
func TestABusThatHangsIsLeftToItself(t *testing.T) {
	bus := newFakeBus(t)
	bus.set(func() { bus.units["/org/freedesktop/systemd1/unit/haproxy_2eservice"] = "active" })
	hung := func(on bool) { bus.set(func() { bus.hung = on }) }
	var probers []*unitProber
	for range 8 {
		probers = append(probers, &unitProber{unit: "haproxy.service"})
	}
	each := func(do func(p *unitProber)) {
		var all sync.WaitGroup
		for _, p := range probers {
			all.Go(func() { do(p) })
		}
		all.Wait()
	}
	checks := func(rounds int) func(p *unitProber) {
		return func(p *unitProber) {
			for range rounds {
				assert.Error(t, briefly(t, p))
			}
		}
	}
	hung(true)
	leavesNothing(t, func() { each(checks(25)) })
	leavesNothing(t, func() {
		hung(false)
		each(func(p *unitProber) {
			_, err := p.probe(t.Context())
			assert.NoError(t, err)
			assert.NotNil(t, p.bus)
		})
		hung(true)
		each(checks(20))
	})
}
