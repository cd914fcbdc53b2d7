package controller

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"time"

	"keepalived-charm/tests/controller/wire"
)

// Serve listens on a unix socket until Close; it replaces a socket left there.
func (c *Controller) Serve(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("cannot replace controller socket: %w", err)
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return fmt.Errorf("cannot serve controller: %w", err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /session", c.serveSession)
	mux.HandleFunc("POST /call", c.serveCall)
	mux.HandleFunc("GET /charm", c.serveCharm)
	s := &http.Server{Handler: mux, ConnState: c.track}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.server != nil || c.closed {
		return errors.Join(errors.New("cannot serve controller: already served or closed"), l.Close())
	}
	c.server, c.listener = s, l
	go func() { _ = s.Serve(l) }() // ends with ErrServerClosed
	return nil
}

// track keeps the open connections and, while down, closes new ones.
func (c *Controller) track(conn net.Conn, state http.ConnState) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch state {
	case http.StateNew:
		c.conns[conn] = true
		if c.down {
			_ = conn.Close()
		}
	case http.StateClosed, http.StateHijacked:
		delete(c.conns, conn)
	}
}

// Down makes the controller unreachable: connections break and new ones are cut
// at once. The model stays, leases included.
func (c *Controller) Down() { c.reach(true) }

// Up ends Down.
func (c *Controller) Up() { c.reach(false) }

func (c *Controller) reach(down bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.down == down {
		return
	}
	c.down = down
	if down {
		c.hangUpLocked()
	} else {
		for _, a := range c.apps {
			a.lease.expires = time.Now().Add(a.lease.held)
		}
	}
	c.changedLocked()
}

// hangUpLocked ends every session and connection.
func (c *Controller) hangUpLocked() {
	for _, s := range c.sessions {
		c.endLocked(s)
	}
	for conn := range c.conns {
		_ = conn.Close()
	}
}

// Close stops the server and the callbacks.
func (c *Controller) Close() error {
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return nil
	}
	c.closed = true
	c.hangUpLocked()
	s := c.server
	c.callbackLocked(func() {})
	c.mu.Unlock()
	<-c.finished
	if s == nil {
		return nil
	}
	if err := s.Close(); err != nil {
		return fmt.Errorf("cannot stop controller: %w", err)
	}
	return nil
}

func (c *Controller) serveCall(w http.ResponseWriter, req *http.Request) {
	var in wire.Request
	if err := json.NewDecoder(req.Body).Decode(&in); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	c.mu.Lock()
	result, err := c.answerLocked(req, in)
	var out wire.Response
	if err == nil {
		out.Result, err = json.Marshal(result) // while locked: results may point into the model
	}
	c.mu.Unlock()
	if err != nil && !errors.As(err, &out.Error) {
		out.Error = &apiError{Message: err.Error()}
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(out) // a lost agent asks again after reconnecting
}

func (c *Controller) answerLocked(req *http.Request, in wire.Request) (any, error) {
	h := facades[in.Facade+"."+in.Method]
	if h == nil {
		return nil, &apiError{
			Message: fmt.Sprintf("unknown method %s.%s", in.Facade, in.Method), Code: codeNotImplemented,
		}
	}
	var s *session
	for _, open := range c.sessions {
		if open.id == in.Session {
			s = open
		}
	}
	if s == nil {
		return nil, &apiError{Message: "session ended", Code: codeStopped}
	}
	u := c.units[s.unit]
	if u == nil {
		return nil, notFound("unit", s.unit)
	}
	if !background[in.Method] {
		c.touchLocked()
		if c.calls[u.name] == nil {
			c.calls[u.name] = map[string]int{}
		}
		c.calls[u.name][in.Facade+"."+in.Method]++
	}
	return h(&call{
		c: c, ctx: req.Context(), session: s, unit: u,
		version: in.Version, id: in.ID, args: in.Args,
	})
}

// touchLocked notes that an agent did something.
func (c *Controller) touchLocked() { c.activity = time.Now() }

// serveCharm sends the archive of a charm URL that some application uses.
func (c *Controller) serveCharm(w http.ResponseWriter, req *http.Request) {
	url := req.URL.Query().Get("url")
	c.mu.Lock()
	var path string
	if rev := c.revisionLocked(url); rev != nil {
		path = rev.Path
	}
	c.touchLocked()
	c.mu.Unlock()
	if path == "" {
		http.NotFound(w, req)
		return
	}
	http.ServeFile(w, req, path)
}

// revisionLocked finds a charm by URL among those deployed or installed, one with
// an archive if there is one.
func (c *Controller) revisionLocked(url string) *revision {
	var found *revision
	consider := func(rev *revision) {
		if rev != nil && rev.url == url && (found == nil || found.Path == "") {
			found = rev
		}
	}
	for _, a := range c.apps {
		consider(a.charm)
	}
	for _, u := range c.units {
		consider(u.charm)
	}
	return found
}
