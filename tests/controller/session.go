package controller

import (
	"fmt"
	"net/http"
)

// session is the life of one agent's connection.
type session struct {
	id       string
	unit     string
	watchers map[string]*watcher
	ended    chan struct{}
}

// serveSession keeps an agent's connection: it answers with the session's id and
// then stays open until either side goes away. A unit that is not in the model
// gets 404.
func (c *Controller) serveSession(w http.ResponseWriter, req *http.Request) {
	name := req.URL.Query().Get("unit")
	c.mu.Lock()
	u, ok := c.units[name]
	if !ok || !u.hasAgent {
		c.mu.Unlock()
		http.Error(w, "unit not found", http.StatusNotFound)
		return
	}
	if old := c.sessions[name]; old != nil {
		c.endLocked(old)
	}
	c.nextSession++
	s := &session{
		id: fmt.Sprint(c.nextSession), unit: name,
		watchers: map[string]*watcher{}, ended: make(chan struct{}),
	}
	c.sessions[name] = s
	u.started = true
	u.running = 0
	c.recordLocked(Event{Unit: name, Kind: AgentConnected})
	c.changedLocked()
	c.mu.Unlock()

	fmt.Fprintln(w, s.id)
	_ = http.NewResponseController(w).Flush()
	select {
	case <-req.Context().Done():
	case <-s.ended:
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.endLocked(s)
}

func (c *Controller) endLocked(s *session) {
	if c.sessions[s.unit] != s {
		return
	}
	delete(c.sessions, s.unit)
	close(s.ended)
	if u := c.units[s.unit]; u != nil {
		u.running = 0
	}
	c.recordLocked(Event{Unit: s.unit, Kind: AgentLost})
	c.changedLocked()
}
