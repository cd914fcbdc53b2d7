package checker

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"keepalived-charm/internal/healthcheck"
)

// probe carries out one check that has an outcome; it has time for it on a slow machine.
func probe(t *testing.T, c healthcheck.Check) error {
	t.Helper()
	return probeFor(t, c, 10*time.Second)
}

// probeFor is probe with a timeout, for services that hang.
func probeFor(t *testing.T, c healthcheck.Check, timeout time.Duration) error {
	t.Helper()
	p, err := newProber(healthcheck.Config{Check: c})
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	found, err := p.probe(ctx)
	require.Empty(t, found)
	return err
}

// loopbacks are the addresses that services listen on in these tests.
var loopbacks = []string{"127.0.0.1:0", "[::1]:0"}

// listen serves connections until the test ends.
func listen(t *testing.T, at string) netip.AddrPort {
	t.Helper()
	network := "tcp"
	if netip.MustParseAddrPort(at).Addr().Is4() {
		network = "tcp4" // for 0.0.0.0 tcp would mean both families
	}
	l, err := net.Listen(network, at)
	require.NoError(t, err)
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				io.Copy(io.Discard, conn)
				conn.Close()
			}()
		}
	}()
	return addrOf(l)
}

func addrOf(l net.Listener) netip.AddrPort { return l.Addr().(*net.TCPAddr).AddrPort() }

// child is this test binary as a service that accepts on the address it prints.
func child(t *testing.T, at string) (*os.Process, netip.AddrPort) {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^TestMain$")
	cmd.Env = append(os.Environ(), "CHECKER_TEST_LISTEN="+at)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	var text string
	_, err = fmt.Fscan(out, &text)
	require.NoError(t, err)
	return cmd.Process, netip.MustParseAddrPort(text)
}

func TestTCPPassesForAServiceThatAccepts(t *testing.T) {
	for _, at := range loopbacks {
		target := listen(t, at)
		require.NoError(t, probe(t, healthcheck.Check{Type: healthcheck.TCP, Target: target.String()}))
	}
}

func TestLocalhostMeansEitherFamily(t *testing.T) {
	for _, at := range loopbacks {
		target := "localhost:" + strconv.Itoa(int(listen(t, at).Port()))
		require.NoError(t, probe(t, healthcheck.Check{Type: healthcheck.TCP, Target: target}))
	}
}

func TestTCPFailsWhereNobodyListens(t *testing.T) {
	for _, at := range loopbacks {
		l, err := net.Listen("tcp", at)
		require.NoError(t, err)
		target := addrOf(l)
		l.Close()
		require.EqualError(t, probe(t, healthcheck.Check{Type: healthcheck.TCP, Target: target.String()}),
			"cannot connect to "+target.String()+": connection refused")
	}
}

func TestTCPFailsForAStoppedProcessAndPassesWhenItGoesOn(t *testing.T) {
	t.Parallel()
	for _, at := range loopbacks {
		process, target := child(t, at)
		check := healthcheck.Check{Type: healthcheck.TCP, Target: target.String()}
		require.NoError(t, probe(t, check))
		stop(t, process)
		require.EqualError(t, probeFor(t, check, time.Second), "no process accepts connections to "+target.String()+": timed out")
		require.NoError(t, process.Signal(syscall.SIGCONT))
		require.NoError(t, probe(t, check))
	}
}

// rawListener listens and accepts nothing.
func rawListener(t *testing.T, family, backlog int, options ...int) netip.AddrPort {
	t.Helper()
	fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	require.NoError(t, err)
	t.Cleanup(func() { unix.Close(fd) })
	for _, o := range options {
		require.NoError(t, unix.SetsockoptInt(fd, unix.IPPROTO_TCP, o, 5))
	}
	var sa unix.Sockaddr = &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}
	if family == unix.AF_INET6 {
		sa = &unix.SockaddrInet6{Addr: [16]byte{15: 1}}
	}
	require.NoError(t, unix.Bind(fd, sa))
	require.NoError(t, unix.Listen(fd, backlog))
	sa, err = unix.Getsockname(fd)
	require.NoError(t, err)
	if six, ok := sa.(*unix.SockaddrInet6); ok {
		return netip.AddrPortFrom(netip.AddrFrom16(six.Addr), uint16(six.Port))
	}
	four := sa.(*unix.SockaddrInet4)
	return netip.AddrPortFrom(netip.AddrFrom4(four.Addr), uint16(four.Port))
}

func TestTCPFailsWhenTheBacklogIsFull(t *testing.T) {
	t.Parallel()
	for _, family := range []int{unix.AF_INET, unix.AF_INET6} {
		target := rawListener(t, family, 1)
		check := healthcheck.Check{Type: healthcheck.TCP, Target: target.String()}
		for range 2 { // Linux queues one more than the backlog.
			conn, err := net.Dial("tcp", target.String())
			require.NoError(t, err)
			defer conn.Close()
		}
		require.ErrorContains(t, probeFor(t, check, 300*time.Millisecond), "timed out")
	}
}

func TestTCPPassesForAListenerThatWaitsForData(t *testing.T) {
	for _, family := range []int{unix.AF_INET, unix.AF_INET6} {
		target := rawListener(t, family, 16, unix.TCP_DEFER_ACCEPT)
		require.NoError(t, probe(t, healthcheck.Check{Type: healthcheck.TCP, Target: target.String()}))
	}
}

func TestTheKernelKnowsWhoListens(t *testing.T) {
	d, err := newSockDiag()
	require.NoError(t, err)
	defer d.close()
	for _, at := range []string{"127.0.0.1:0", "[::1]:0", "0.0.0.0:0", "[::]:0"} {
		port := listen(t, at).Port()
		for _, a := range []netip.Addr{netip.MustParseAddr("127.0.0.1"), netip.IPv6Loopback()} {
			_, err := d.listener(netip.AddrPortFrom(a, port))
			served := netip.MustParseAddrPort(at).Addr()
			if served == a || served == netip.IPv6Unspecified() || served.IsUnspecified() && a.Is4() {
				require.NoError(t, err, "%s on %s", a, at)
			} else {
				require.ErrorIs(t, err, errNoSocket, "%s on %s", a, at)
			}
		}
	}
}

func TestTheHintIsAChangeOfListening(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	h := newListenHint(healthcheck.Config{Check: healthcheck.Check{Type: healthcheck.HTTP, Target: addrOf(l).String()}})
	require.NotNil(t, h)
	defer h.close()
	require.False(t, h.news(time.Now(), time.Second))
	l.Close()
	require.True(t, h.news(time.Now(), time.Second))
	require.False(t, h.news(time.Now(), time.Second))
	l, err = net.Listen("tcp", l.Addr().String())
	require.NoError(t, err)
	defer l.Close()
	require.True(t, h.news(time.Now(), time.Second))
	require.True(t, h.applies(nil), "loopback is always here")
	h.endpoints = []netip.AddrPort{netip.MustParseAddrPort("192.0.2.1:80")}
	require.False(t, h.applies(nil))
	require.True(t, h.applies(kernelAddresses{netip.MustParseAddr("192.0.2.1"): {2}}))
	require.Nil(t, newListenHint(healthcheck.Config{Check: healthcheck.Check{Type: healthcheck.Unit, Target: "a.service"}}))
}

func TestConnectionsThatWaitAreAHintOncePerInterval(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	h := newListenHint(healthcheck.Config{Check: healthcheck.Check{Type: healthcheck.TCP, Target: addrOf(l).String()}})
	require.NotNil(t, h)
	defer h.close()
	now := time.Now()
	news := func(after time.Duration) bool { return h.news(now.Add(after), time.Second) }
	connect := func() {
		c, err := net.Dial("tcp", l.Addr().String())
		require.NoError(t, err)
		t.Cleanup(func() { c.Close() })
	}
	accept := func() {
		c, err := l.Accept()
		require.NoError(t, err)
		c.Close()
	}
	require.False(t, news(0))
	connect()
	require.False(t, news(100*time.Millisecond), "it may be accepted right now")
	require.True(t, news(200*time.Millisecond))
	require.False(t, news(300*time.Millisecond), "said once")
	accept()
	require.False(t, news(400*time.Millisecond))
	connect()
	require.False(t, news(500*time.Millisecond))
	require.False(t, news(600*time.Millisecond), "too soon after the last")
	accept()
	require.False(t, news(700*time.Millisecond))
	connect()
	require.False(t, news(1100*time.Millisecond))
	require.True(t, news(1200*time.Millisecond))
}

func BenchmarkHint(b *testing.B) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(b, err)
	defer l.Close()
	h := newListenHint(healthcheck.Config{Check: healthcheck.Check{Type: healthcheck.TCP, Target: l.Addr().String()}})
	for b.Loop() {
		h.news(time.Now(), time.Second)
	}
}

// web is a service with one path for each case.
func web() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/ok", func(w http.ResponseWriter, r *http.Request) {
		if r.URL.RawQuery == "host" && r.Host != "www.example.com" {
			w.WriteHeader(http.StatusMisdirectedRequest)
		}
	})
	mux.HandleFunc("/moved", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/broken", http.StatusFound) })
	mux.HandleFunc("/broken", func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) })
	mux.HandleFunc("/slow", func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-r.Context().Done():
		case <-time.After(5 * time.Second):
		}
	})
	mux.HandleFunc("/endless", func(w http.ResponseWriter, r *http.Request) {
		for r.Context().Err() == nil {
			if _, err := w.Write(make([]byte, 1<<16)); err != nil {
				return
			}
		}
	})
	return mux
}

func TestHTTPLooksAtTheStatus(t *testing.T) {
	t.Parallel()
	plain := httptest.NewServer(web())
	defer plain.Close()
	secure := httptest.NewUnstartedServer(web())
	secure.Config.ErrorLog = log.New(io.Discard, "", 0)
	secure.StartTLS()
	defer secure.Close()
	for kind, server := range map[healthcheck.Type]*httptest.Server{healthcheck.HTTP: plain, healthcheck.HTTPS: secure} {
		target := server.Listener.Addr().String()
		url := string(kind) + "://" + target
		for _, c := range []struct {
			path, host string
			expect     healthcheck.StatusRange
			err        string
		}{
			{path: "/ok"},
			{path: "/ok?host", host: "www.example.com"},
			{path: "/moved"},
			{path: "/endless"},
			{path: "/broken", expect: healthcheck.StatusRange{Min: 503, Max: 503}},
			{path: "/broken", err: url + "/broken answered with status 503"},
			{path: "/moved", expect: healthcheck.StatusRange{Min: 200, Max: 200}, err: url + "/moved answered with status 302"},
			{path: "", err: url + "/ answered with status 404"},
			{path: "/slow", err: "cannot get " + url + "/slow: timed out"},
		} {
			timeout := 10 * time.Second
			if c.path == "/slow" {
				timeout = time.Second
			}
			err := probeFor(t, healthcheck.Check{Type: kind, Target: target, Path: c.path, Host: c.host, ExpectStatus: c.expect}, timeout)
			if c.err == "" {
				require.NoError(t, err, c.path)
			} else {
				require.EqualError(t, err, c.err)
			}
		}
	}
}

// One that could not be would end the checker at its start, again and again.
func TestEveryPathThatIsValidCanBeAskedFor(t *testing.T) {
	for path, valid := range map[string]bool{
		"/": true, "/a%20b": true, "//": true, "//a": true, "/:": true, "/a:b@c": true, "/[": true, "/?a=%": true, "/?q=%zz": true,
		"/health%": false, "/100%/ok": false, "/a%zz": false,
	} {
		c := healthcheck.Check{Type: healthcheck.HTTP, Target: "127.0.0.1:80", Path: path}
		require.Equal(t, valid, c.ValidPath(), path)
		_, err := newProber(healthcheck.Config{Check: c})
		require.Equal(t, valid, err == nil, path)
	}
}

func TestTheHostIsSentAsURLsHaveIt(t *testing.T) {
	hosts := make(chan string, 1)
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { hosts <- r.Host }))
	t.Cleanup(server.Close)
	target := server.Listener.Addr().String()
	for host, sent := range map[string]string{"": target, "www.example.com": "www.example.com", "10.10.74.250": "10.10.74.250", "fd00::10": "[fd00::10]"} {
		c := healthcheck.Check{Type: healthcheck.HTTP, Target: target, Host: host}
		require.True(t, c.ValidHost())
		require.NoError(t, probe(t, c))
		require.Equal(t, sent, <-hosts)
	}
}

// answering is a service that gives each connection a text once it has read a request, and
// closes it.
func answering(t *testing.T, text string) netip.AddrPort {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				_, _ = conn.Read(make([]byte, 4096))
				_, _ = io.WriteString(conn, text)
			}()
		}
	}()
	return addrOf(l)
}

func TestTheStatusDecidesWhateverTheHeaderIsLike(t *testing.T) {
	const early = "HTTP/1.1 103 Early Hints\r\nno header\r\n\r\n"
	for name, c := range map[string]struct{ answer, err string }{
		"no empty line at the end":  {"HTTP/1.0 200 OK\r\n", ""},
		"a header without a colon":  {"HTTP/1.1 200 OK\r\nServer nginx\r\n\r\n", ""},
		"a space before a colon":    {"HTTP/1.1 200 OK\r\nX-A : b\r\n\r\n", ""},
		"a space at the beginning":  {"HTTP/1.1 200 OK\r\n X: b\r\n\r\n", ""},
		"a byte that is no token":   {"HTTP/1.1 200 OK\r\nX-\xc3\xa4: b\r\n\r\n", ""},
		"behind an interim answer":  {early + "HTTP/1.1 200 OK\r\n", ""},
		"a switch of the protocol":  {"HTTP/1.1 101 Switching Protocols\r\n", "answered with status 101"},
		"a bad status":              {"HTTP/1.1 503 No\r\nX-A : b\r\n\r\n", "answered with status 503"},
		"an interim answer alone":   {early, "closed without an answer"},
		"an interim answer no more": {"HTTP/1.1 100 Continue\r\n", "closed without an answer"},
		"nothing":                   {"", "closed without an answer"},
		"another protocol":          {"220 smtp ready\r\n", `malformed HTTP response "220 smtp ready"`},
		"interim answers for ever":  {strings.Repeat(early, 10_000), "no answer within 65536 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			err := probe(t, healthcheck.Check{Type: healthcheck.HTTP, Target: answering(t, c.answer).String()})
			if c.err == "" {
				require.NoError(t, err)
			} else {
				require.ErrorContains(t, err, c.err)
			}
		})
	}
}

func TestHTTPSVerifiesOnlyWithACA(t *testing.T) {
	server := httptest.NewUnstartedServer(web())
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	defer server.Close()
	own := filepath.Join(t.TempDir(), "ca.pem")
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	require.NoError(t, os.WriteFile(own, text, 0o600))
	check := healthcheck.Check{Type: healthcheck.HTTPS, Target: server.Listener.Addr().String(), Path: "/ok"}
	require.NoError(t, probe(t, check))
	check.CA = own
	require.NoError(t, probe(t, check))
	check.Host = "example.com"
	require.NoError(t, probe(t, check))
	check.Host = "elsewhere.test"
	require.ErrorContains(t, probe(t, check), "certificate is valid for example.com")

	check.CA = filepath.Join(t.TempDir(), "missing.pem")
	_, err := newProber(healthcheck.Config{Check: check})
	require.ErrorContains(t, err, "cannot read check CA: open ")
	require.NoError(t, os.WriteFile(own, []byte("nothing"), 0o600))
	check.CA = own
	_, err = newProber(healthcheck.Config{Check: check})
	require.EqualError(t, err, "cannot use check CA "+own+": it holds no certificate")
}

func TestHTTPSWithoutACAWorksWithAnyTLS(t *testing.T) {
	for name, config := range map[string]*tls.Config{
		"TLS 1.0":                  {MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS10},
		"TLS 1.1":                  {MinVersion: tls.VersionTLS11, MaxVersion: tls.VersionTLS11},
		"TLS 1.2 and RSA exchange": {MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{tls.TLS_RSA_WITH_AES_128_GCM_SHA256}},
		"TLS 1.3":                  {MinVersion: tls.VersionTLS13},
		// What Go refuses unless go.mod says otherwise (godebug).
		"a negative serial number": {Certificates: []tls.Certificate{negative(t)}},
		"an RSA key of 1000 bits":  {Certificates: []tls.Certificate{small(t)}},
	} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewUnstartedServer(web())
			server.TLS = config
			server.StartTLS()
			t.Cleanup(server.Close)
			require.NoError(t, probe(t, healthcheck.Check{Type: healthcheck.HTTPS, Target: server.Listener.Addr().String(), Path: "/ok"}))
		})
	}
}

// negative is a certificate as old programs make themselves one.
func negative(t *testing.T) tls.Certificate {
	c := cheapCertificate(t)
	const integer, one, length = 2, 1, 1 // X.690
	at := bytes.Index(c.Certificate[0], []byte{integer, length, one})
	require.Positive(t, at)
	c.Certificate[0][at+2] = 0xff
	return c
}

func small(t *testing.T) tls.Certificate {
	key, err := rsa.GenerateKey(rand.Reader, 1000)
	require.NoError(t, err)
	text, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{SerialNumber: big.NewInt(1)}, &x509.Certificate{}, key.Public(), key)
	require.NoError(t, err)
	return tls.Certificate{Certificate: [][]byte{text}, PrivateKey: key}
}

// BenchmarkProbe shows what one check costs, the service's part included; CPU of
// the whole process is reported beside the time.
func BenchmarkProbe(b *testing.B) {
	plain, secured := httptest.NewServer(web()), httptest.NewTLSServer(web())
	defer plain.Close()
	defer secured.Close()
	for _, c := range []healthcheck.Check{
		{Type: healthcheck.TCP, Target: addrOf(plain.Listener).String()},
		{Type: healthcheck.HTTP, Target: addrOf(plain.Listener).String(), Path: "/ok"},
		{Type: healthcheck.HTTPS, Target: addrOf(secured.Listener).String(), Path: "/ok"},
	} {
		b.Run(string(c.Type), func(b *testing.B) {
			p, err := newProber(healthcheck.Config{Check: c})
			require.NoError(b, err)
			var before, after syscall.Rusage
			require.NoError(b, syscall.Getrusage(syscall.RUSAGE_SELF, &before))
			for b.Loop() {
				_, err := p.probe(context.Background())
				require.NoError(b, err)
			}
			require.NoError(b, syscall.Getrusage(syscall.RUSAGE_SELF, &after))
			used := after.Utime.Nano() + after.Stime.Nano() - before.Utime.Nano() - before.Stime.Nano()
			b.ReportMetric(float64(used)/float64(b.N)/1e6, "cpu-ms/op")
		})
	}
}
