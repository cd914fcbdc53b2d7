package exporter

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"keepalived-charm/internal/metrics"
	"keepalived-charm/internal/poll"
)

// free is a port that nobody has at this moment.
func free(t *testing.T) int {
	t.Helper()
	l, err := listen(0)
	require.NoError(t, err)
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// serve serves until the test ends.
func serve(t *testing.T, text func(context.Context) ([]byte, error), change ...func(*limits)) *Exporter {
	t.Helper()
	e := New(free(t), text, log.New(io.Discard, "", 0))
	for _, do := range change {
		do(&e.limits)
	}
	require.NotZero(t, e.Serving())
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		e.Run(ctx)
	}()
	t.Cleanup(func() {
		cancel()
		<-done
		require.Zero(t, e.Serving())
	})
	return e
}

func page(context.Context) ([]byte, error) { return []byte("keepalived_up 1\n"), nil }

// raw sends bytes and returns all that comes back.
func raw(t *testing.T, e *Exporter, request string) string {
	t.Helper()
	c, err := net.Dial("tcp", Address(e.port).String())
	require.NoError(t, err)
	defer c.Close()
	_, err = io.WriteString(c, request)
	require.NoError(t, err)
	require.NoError(t, c.SetReadDeadline(time.Now().Add(30*time.Second)))
	answer, err := io.ReadAll(c)
	require.NoError(t, err)
	return string(answer)
}

func TestItServesMetricsAndNothingElse(t *testing.T) {
	e := serve(t, page)
	client := http.Client{Timeout: 30 * time.Second}
	url := func(path string) string { return "http://" + Address(e.port).String() + path }
	for range 3 {
		answer, err := client.Get(url("/metrics"))
		require.NoError(t, err)
		body, err := io.ReadAll(answer.Body)
		require.NoError(t, err)
		answer.Body.Close()
		require.Equal(t, 200, answer.StatusCode)
		require.Equal(t, metrics.ContentType, answer.Header.Get("Content-Type"))
		require.Equal(t, "keepalived_up 1\n", string(body))
	}
	for request, status := range map[string]string{
		"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n":                                "200 OK",
		"GET /metrics HTTP/1.0\r\n\r\n":                                           "200 OK",
		"GET /metrics?name[]=a HTTP/1.1\n\n":                                      "200 OK",
		"HEAD /metrics HTTP/1.1\r\n\r\n":                                          "200 OK",
		"POST /metrics HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc":                  "405 Method Not Allowed",
		"GET / HTTP/1.1\r\n\r\n":                                                  "404 Not Found",
		"GET /metrics/ HTTP/1.1\r\n\r\n":                                          "404 Not Found",
		"DELETE /x HTTP/1.1\r\n\r\n":                                              "404 Not Found",
		"GET /debug/pprof/ HTTP/1.1\r\n\r\n":                                      "404 Not Found",
		"GET /metrics HTTP/2.0\r\n\r\n":                                           "400 Bad Request",
		"GET  /metrics HTTP/1.1\r\n\r\n":                                          "400 Bad Request",
		"\r\n\r\n":                                                                "400 Bad Request",
		"\x16\x03\x01\n\n":                                                        "400 Bad Request",
		"GET /metrics HTTP/1.1\r\nX: " + strings.Repeat("x", maxRequest) + "\r\n": "431 Request Header Fields Too Large",
	} {
		answer := raw(t, e, request)
		head, body, _ := strings.Cut(answer, "\r\n\r\n")
		require.True(t, strings.HasPrefix(head, "HTTP/1.1 "+status+"\r\n"), "%.60q: %s", request, answer)
		require.Equal(t, strings.HasPrefix(request, "HEAD"), body == "", "%.60q: %s", request, answer)
	}
}

func TestOnlyThisMachineIsServed(t *testing.T) {
	l, err := listen(0)
	require.NoError(t, err)
	defer l.Close()
	require.True(t, l.Addr().(*net.TCPAddr).IP.IsLoopback())
}

// TestWhoIsSlowIsCutOff: clients that ask for nothing, and those that read nothing, end, and
// others are served.
func TestWhoIsSlowIsCutOff(t *testing.T) {
	large := bytes.Repeat([]byte("keepalived_up 1\n"), 1<<20)
	e := serve(t, func(context.Context) ([]byte, error) { return large, nil },
		func(l *limits) { l.request, l.answer = time.Second, time.Second })
	var all []net.Conn
	for n := range 3 * mostRequests {
		c, err := net.Dial("tcp", Address(e.port).String())
		require.NoError(t, err)
		defer c.Close()
		all = append(all, c)
		if n%2 == 0 {
			_, err = io.WriteString(c, "GET /metrics HTTP/1.1\r\n\r\n") // and reads nothing
		} else {
			_, err = io.WriteString(c, "GET /met")
		}
		require.NoError(t, err)
	}
	answer := raw(t, e, "HEAD /metrics HTTP/1.1\r\n\r\n") // the last that comes
	require.True(t, strings.HasPrefix(answer, "HTTP/1.1 200 OK\r\n"), "others are served: %s", answer)
	// Nobody reads until all have been cut off; one place is for who comes next.
	poll.Until(t, func() bool { return len(e.places) <= 1 }, 30*time.Second, time.Millisecond)
	for n, c := range all {
		require.NoError(t, c.SetReadDeadline(time.Now().Add(30*time.Second)))
		read, err := io.Copy(io.Discard, c)
		var timeout net.Error
		require.False(t, errors.As(err, &timeout) && timeout.Timeout(), "connection %d is closed", n)
		require.Less(t, read, int64(len(large)), "connection %d was cut off", n)
	}
}

func TestATextThatCannotBeMade(t *testing.T) {
	e := serve(t, func(context.Context) ([]byte, error) { return nil, errors.New("the kernel says nothing") })
	answer := raw(t, e, "GET /metrics HTTP/1.1\r\n\r\n")
	require.True(t, strings.HasPrefix(answer, "HTTP/1.1 503 "), answer)
	require.True(t, strings.HasSuffix(answer, "cannot tell the metrics: the kernel says nothing\n"), answer)
}

// TestAPortThatIsTaken is tried again.
func TestAPortThatIsTaken(t *testing.T) {
	port := free(t)
	other, err := net.Listen("tcp", fmt.Sprintf(":%d", port)) // on every address, as most do
	require.NoError(t, err)
	require.True(t, Taken(port))
	var said bytes.Buffer
	e := New(port, page, log.New(&said, "", 0))
	require.Zero(t, e.Serving())
	require.Contains(t, said.String(), "cannot serve metrics, trying again: ")
	e.retry = time.Millisecond
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	done := make(chan struct{})
	go func() {
		defer close(done)
		e.Run(ctx)
	}()
	require.NoError(t, other.Close())
	poll.Until(t, func() bool { return e.Serving() == port }, 30*time.Second, time.Millisecond)
	require.Contains(t, raw(t, e, "GET /metrics HTTP/1.1\r\n\r\n"), "keepalived_up 1")
	cancel()
	<-done
	require.False(t, Taken(port))
	require.Zero(t, (*Exporter)(nil).Serving())
}

func FuzzReadRequest(f *testing.F) {
	f.Add([]byte("GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"))
	f.Add([]byte("\n\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := readRequest(bytes.NewReader(data))
		if err != nil {
			return
		}
		answer := respond(r, r.status(), nil, time.Now())
		head, _, found := bytes.Cut(answer, []byte("\r\n\r\n"))
		require.True(t, found)
		require.LessOrEqual(t, bytes.Count(head, []byte("\r\n")), 6, "nothing that is asked for comes back: %q", answer)
		require.Equal(t, bytes.Count(head, []byte("\n")), bytes.Count(head, []byte("\r\n")))
	})
}
