package chaos

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"keepalived-charm/tests/lab"
)

// witness follows what the statuses say during a fault.
type witness struct {
	stop, done chan struct{}
	// said are the target's statuses in order.
	said []string
	// wrong is when something was last not as it should be.
	wrong time.Time
}

// watch begins to follow the status of the unit on a machine.
func (s *Stage) watch(id string) *witness {
	w := &witness{stop: make(chan struct{}), done: make(chan struct{})}
	go func() {
		defer close(w.done)
		for {
			for _, u := range s.subordinates() {
				if said := shown(u); u.Machine == id && (len(w.said) == 0 || w.said[len(w.said)-1] != said) {
					w.said = append(w.said, said)
				}
			}
			if s.wrong() != "" {
				w.wrong = time.Now()
			}
			select {
			case <-w.stop:
				return
			case <-time.After(20 * time.Millisecond):
			}
		}
	}()
	return w
}

// shown is a unit's status as the table has it: the agent's word counts when its
// hook failed, and a dead machine's status is lost.
func shown(u lab.Unit) string {
	switch {
	case failing(u) != "":
		return "error: " + failing(u)
	case u.Agent.Current == "lost":
		return "agent lost"
	}
	return strings.TrimPrefix(u.Workload.Current+": "+u.Workload.Message, "active: VIP ready: ")
}

// end stops the watch; what it saw counts from then on.
func (w *witness) end() {
	close(w.stop)
	<-w.done
}

// restarts counts how often systemd started services again, by machine and service.
func (s *Stage) restarts(ctx context.Context) map[string]int {
	counts := map[string]int{}
	for _, id := range s.ids() {
		m, err := s.Machine(id)
		if err != nil || !m.Running() {
			continue
		}
		for _, service := range []string{keepalived, checker} {
			text, err := m.Run(ctx, "systemctl show --value --property=NRestarts "+service)
			n, convErr := strconv.Atoi(strings.TrimSpace(text))
			if err == nil && convErr == nil {
				counts[id+" "+service] = n
			}
		}
	}
	return counts
}

// repairers names who put it right: what the machines' journals, systemd's counters
// and the model's events tell of the time since.
func (s *Stage) repairers(ctx context.Context, since time.Time, before map[string]int, moves int) []string {
	var who []string
	add := func(name string) {
		if !slices.Contains(who, name) {
			who = append(who, name)
		}
	}
	if moves > 0 {
		add("peers (VRRP)")
	}
	after := s.restarts(ctx)
	for _, id := range s.ids() {
		if s.logged(ctx, id, checker, since, "has keepalived killed") != nil {
			add("checker")
		}
		if after[id+" "+keepalived] > before[id+" "+keepalived] {
			add("systemd")
		}
		if after[id+" "+checker] > before[id+" "+checker] {
			add("systemd (checker)")
		}
		if m, err := s.Machine(id); err != nil || !m.Running() {
			continue
		}
		changes, err := s.Logged(ctx, id, since, "changing this machine")
		if err != nil {
			add(err.Error())
		}
		for _, at := range changes {
			add(s.cause(id, at))
		}
	}
	if len(who) == 0 {
		who = []string{"the daemon itself"}
	}
	return who
}

// logged returns when a service logged lines with a text.
func (s *Stage) logged(ctx context.Context, id, service string, since time.Time, text string) []time.Time {
	m, err := s.Machine(id)
	if err != nil || !m.Running() {
		return nil
	}
	out, err := m.Run(ctx, fmt.Sprintf("journalctl --quiet --no-pager --output=short-unix --since=@%d --unit='%s' | grep -F '%s' || true", since.Unix(), service, text))
	if err != nil {
		return nil
	}
	var times []time.Time
	for line := range strings.Lines(out) {
		word, _, _ := strings.Cut(line, " ")
		if f, err := strconv.ParseFloat(word, 64); err == nil {
			times = append(times, time.UnixMicro(int64(f*1e6)))
		}
	}
	return times
}

// cause is the kind of hook that ran on a machine at a time.
func (s *Stage) cause(id string, at time.Time) string {
	for _, e := range s.Events() {
		unit, _ := s.UnitOn("keepalived", id)
		begin := e.Time.Add(-e.Duration - 100*time.Millisecond)
		if e.Unit != unit || e.Kind != lab.End || at.Before(begin) || at.After(e.Time.Add(100*time.Millisecond)) {
			continue
		}
		switch e.Name {
		case "commands":
			return "notification"
		case "action juju-exec": // how the lab has it run
			return "hook update-status"
		}
		return "hook " + e.Name
	}
	return "hook"
}
