package host

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"keepalived-charm/internal/applied"
	"keepalived-charm/internal/checker"
	"keepalived-charm/internal/healthcheck"
	"keepalived-charm/internal/history"
	"keepalived-charm/internal/keepalived"
	"keepalived-charm/internal/layout"
	"keepalived-charm/internal/step"
)

// History returns the unit's journal, oldest entry first.
func (h *Host) History(l layout.Layout) ([]history.Entry, error) {
	return history.Read(h.path(l.History()))
}

// note writes to the journal. What cannot be noted keeps nothing from happening.
func (h *Host) note(l layout.Layout, event history.Event, cause string) {
	noteIn(h.path(l.History()), history.Entry{Event: event, Cause: cause})
}

func noteIn(dir string, e history.Entry) {
	e.Time = time.Now()
	if err := history.Note(filepath.Join(dir, history.CharmFile), e); err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
}

// noteAction notes what an operator asked for.
func (h *Host) noteAction(l layout.Layout, a step.Action) {
	event, asked := map[step.Action]history.Event{
		step.Pause: history.Paused, step.Resume: history.Resumed,
		step.HandOver: history.FailoverAsked, step.Restart: history.RestartAsked,
	}[a]
	if asked {
		h.note(l, event, "action of an operator")
	}
}

// noteParameters notes that a record to be written changes what all units share.
func (h *Host) noteParameters(l layout.Layout, f step.File) {
	if f.Path != l.Record() || f.Remove {
		return
	}
	record, err := applied.Decode(f.Content)
	if err != nil {
		return
	}
	from, had := h.applied(l).Routers[0]
	to, has := record.Routers[0]
	if had && has && from.Parameters != to.Parameters {
		h.note(l, history.ParametersChanged, difference(from.Parameters.String(), to.Parameters.String()))
	}
}

// difference tells which words of a list are others now, such as "vrid=23 is now
// vrid=24".
func difference(from, to string) string {
	before, after := strings.Fields(from), strings.Fields(to)
	var words []string
	for n, w := range after {
		if n < len(before) && before[n] != w && !strings.HasPrefix(w, "anchor=") {
			words = append(words, before[n]+" is now "+w)
		}
	}
	if len(words) == 0 || len(before) != len(after) {
		return from + " is now " + to
	}
	return strings.Join(words, ", ")
}

// Ended runs right after keepalived ended, in whatever way: it takes away virtual
// IPs that were left behind, and notes how it ended. systemd tells how in the environment
// (systemd.exec(5)); config is the health checker's configuration.
func Ended(config string, getenv func(string) string) error {
	h := New("/", "")
	c, err := h.readChecker(config)
	// It may not be started again for a while: without its file, say.
	flushed := errors.Join(err, h.flush(c))
	if c.History == "" {
		return flushed
	}
	cause := "it was stopped"
	switch status := getenv("EXIT_STATUS"); {
	case getenv("EXIT_CODE") == "killed" || getenv("EXIT_CODE") == "dumped":
		cause = "killed by SIG" + status
	case getenv("SERVICE_RESULT") != "success":
		cause = strings.TrimSpace(getenv("SERVICE_RESULT") + " " + status)
	}
	noteIn(c.History, history.Entry{Event: history.KeepalivedEnded, Cause: cause})
	return flushed
}

// readChecker reads a health checker's configuration for keepalived's sake. Where it cannot be
// read the error comes with what keepalived reads of the application, if anything: none of that
// takes part whose track file says nothing.
func (h *Host) readChecker(config string) (healthcheck.Config, error) {
	text, err := os.ReadFile(h.path(config))
	var c healthcheck.Config
	if err == nil {
		c, err = healthcheck.Parse(text)
	}
	if err == nil {
		return c, nil
	}
	l := layout.Layout{Application: filepath.Base(filepath.Dir(config))}
	c = healthcheck.Config{Application: l.Application}
	fragment, _ := os.ReadFile(h.path(l.Fragment())) // nor will keepalived read it
	for _, i := range keepalived.Instances(string(fragment)) {
		c.Instances = append(c.Instances, healthcheck.Instance{Name: i.Name, TrackFile: h.path(l.TrackFileOf(i.Name)), Interface: i.Interface, Addresses: i.Addresses,
			Wait: healthcheck.Wait{Aside: "what this unit does is not known"}})
		c.Links = append(c.Links, i.Interface)
	}
	for _, place := range keepalived.Places(string(fragment)) {
		c.Links = append(c.Links, place.Interface)
	}
	return c, fmt.Errorf("cannot read %s for keepalived: %w", config, err)
}

// Check runs the unit's check once, as the health checker runs it: in a process
// that gives root up. What a child needs no controller for it does not get.
func (h *Host) Check(l layout.Layout) (checker.Once, error) {
	cmd := exec.Command(h.self, "check", "--config", h.path(l.CheckerConfig()))
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "LC_ALL=C"}
	cmd.WaitDelay = time.Second
	out, err := cmd.Output()
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) && len(exit.Stderr) > 0 {
		return checker.Once{}, fmt.Errorf("cannot run the check: %s", strings.TrimPrefix(lastLine(string(exit.Stderr)), "error: "))
	}
	if err != nil {
		return checker.Once{}, fmt.Errorf("cannot run the check: %w", err)
	}
	var once checker.Once
	if err := json.Unmarshal(out, &once); err != nil {
		return checker.Once{}, fmt.Errorf("cannot read the outcome of the check: %w", err)
	}
	return once, nil
}
