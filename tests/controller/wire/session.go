package wire

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// ErrNoUnit says that the controller does not have the unit.
var ErrNoUnit = errors.New("unit not found")

// ErrLost says that the controller cannot be reached any longer.
var ErrLost = errors.New("connection is shut down")

// Session is an agent's connection to the controller.
type Session struct {
	http   *http.Client
	id     string
	ctx    context.Context
	cancel context.CancelFunc
}

// Dial connects a unit's agent to the controller's unix socket.
func Dial(ctx context.Context, socket, unit string) (*Session, error) {
	transport := &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{Timeout: 5 * time.Second}).DialContext(ctx, "unix", socket)
		},
		MaxIdleConnsPerHost: 64, // an agent has some 25 watchers open
	}
	ctx, cancel := context.WithCancel(ctx)
	s := &Session{http: &http.Client{Transport: transport}, ctx: ctx, cancel: cancel}
	resp, err := s.get("/session?unit=" + url.QueryEscape(unit))
	if err != nil {
		s.Close()
		return nil, fmt.Errorf("cannot reach the controller: %w", err)
	}
	lines := bufio.NewReader(resp.Body)
	id, err := lines.ReadString('\n')
	if err != nil || resp.StatusCode != http.StatusOK {
		_ = resp.Body.Close()
		s.Close()
		if resp.StatusCode == http.StatusNotFound {
			return nil, fmt.Errorf("cannot start session for %s: %w", unit, ErrNoUnit)
		}
		return nil, fmt.Errorf("cannot start session for %s: status %s", unit, resp.Status)
	}
	s.id = strings.TrimSpace(id)
	go func() { // the stream ends when the controller goes away
		_, _ = io.Copy(io.Discard, lines)
		_ = resp.Body.Close()
		cancel()
	}()
	return s, nil
}

func (s *Session) get(path string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(s.ctx, http.MethodGet, "http://controller"+path, nil)
	if err != nil {
		return nil, err
	}
	return s.http.Do(req)
}

// Done is closed when the session has ended.
func (s *Session) Done() <-chan struct{} { return s.ctx.Done() }

// Context ends with the session.
func (s *Session) Context() context.Context { return s.ctx }

// Close ends the session and every call in it.
func (s *Session) Close() {
	s.cancel()
	s.http.CloseIdleConnections()
}

// Call makes an API call and decodes the answer into out. The error is ErrLost
// when the controller cannot be reached and *Error when it refused.
func (s *Session) Call(facade string, version int, id, method string, args, out any) error {
	raw, err := json.Marshal(args)
	if err != nil {
		return fmt.Errorf("cannot encode arguments of %s.%s: %w", facade, method, err)
	}
	body, err := json.Marshal(Request{
		Session: s.id, Facade: facade, Version: version, ID: id, Method: method, Args: raw,
	})
	if err != nil {
		return fmt.Errorf("cannot encode call of %s.%s: %w", facade, method, err)
	}
	req, err := http.NewRequestWithContext(s.ctx, http.MethodPost, "http://controller/call", bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("cannot call %s.%s: %w", facade, method, err)
	}
	resp, err := s.http.Do(req)
	if err != nil {
		return ErrLost
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil || s.ctx.Err() != nil {
		return ErrLost
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("cannot call %s.%s: status %s: %s", facade, method, resp.Status, bytes.TrimSpace(answer))
	}
	var r Response
	if err := json.Unmarshal(answer, &r); err != nil {
		return fmt.Errorf("cannot decode answer of %s.%s: %w", facade, method, err)
	}
	if r.Error != nil {
		return r.Error
	}
	if out == nil || len(r.Result) == 0 {
		return nil
	}
	if err := json.Unmarshal(r.Result, out); err != nil {
		return fmt.Errorf("cannot decode answer of %s.%s: %w", facade, method, err)
	}
	return nil
}

// Charm downloads the archive of a charm URL.
func (s *Session) Charm(charmURL string) (io.ReadCloser, error) {
	resp, err := s.get("/charm?url=" + url.QueryEscape(charmURL))
	if err != nil {
		return nil, ErrLost
	}
	if resp.StatusCode != http.StatusOK {
		_ = resp.Body.Close()
		return nil, fmt.Errorf("cannot download charm %s: status %s", charmURL, resp.Status)
	}
	return resp.Body, nil
}
