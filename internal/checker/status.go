package checker

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"
	"time"
)

// Status is what the checker tells hooks about itself. It is written at a change of
// the verdict, at other changes about once per second at most, and every 5 seconds; every
// second while another machine is heard.
type Status struct {
	// Verdict is healthy, sick, or unknown before the first verdict.
	Verdict string `json:"verdict"`
	// Since is when the verdict was reached, Written when this was written: a
	// checker that runs is never more than some 10 s behind.
	Since   time.Time `json:"since"`
	Written time.Time `json:"written"`
	// HeldBack is until when a unit whose service failed is held back, zero if it
	// is not: meanwhile it takes the addresses from sick units only.
	HeldBack time.Time `json:"held_back,omitzero"`
	// Aside is what instances stand aside for, by name.
	Aside map[string]string `json:"aside,omitempty"`
	// Holds names the instances whose address this unit has.
	Holds []string `json:"holds,omitempty"`
	// LastError is the cause of the last failed check, shortened; empty once a
	// check passes.
	LastError string `json:"last_error,omitempty"`
	// LastDurationMS is how long the last check took, in milliseconds.
	LastDurationMS float64 `json:"last_duration_ms"`
	// InARow is how many checks in a row came to the last one's result.
	InARow int `json:"in_a_row"`
	// Checks and StepAsides count since the checker started.
	Checks     uint64 `json:"checks"`
	StepAsides uint64 `json:"step_asides"`
	// Heard are the other machines whose advertisements came since the checker
	// started, as many as there is room for.
	Heard []Heard `json:"heard,omitempty"`

	// Metrics is the port at which metrics are served; 0 for none.
	Metrics int `json:"metrics,omitempty"`

	room int // the size of the file; 0 for statusSize
}

// Heard is what another machine's VRRP advertisements told.
type Heard struct {
	Instance string     `json:"instance"`
	Address  netip.Addr `json:"address"`
	// Priority and Last are those of the last advertisement of a holder.
	Priority int       `json:"priority,omitempty"`
	Last     time.Time `json:"last,omitzero"`
	// Released is when it handed over by priority 0, zero if it has not since Last.
	Released time.Time `json:"released,omitzero"`
	// Foreign tells that its advertisements carry no address of this group: it is a
	// stranger on the virtual router ID.
	Foreign bool `json:"foreign,omitempty"`
	// Speaks tells that it advertised a moment before this was written.
	Speaks bool `json:"speaks,omitempty"`
}

const (
	// statusSize is the least size of the status file, which grows by it with every so many
	// instances. Every text of a checker is padded to the same.
	statusSize       = 4096
	instancesPerSize = 8
	maxError         = 300
)

// text is the status file's content.
func (s Status) text() string {
	s.LastError = shorten(s.LastError, maxError)
	room := max(s.room, statusSize)
	for {
		data, err := json.Marshal(s)
		if err == nil && len(data) < room {
			return string(data) + strings.Repeat(" ", room-1-len(data)) + "\n"
		}
		// Many units: name those that speak, and as many as there is room for.
		silent := func(h Heard) bool { return !h.Speaks }
		switch {
		case slices.ContainsFunc(s.Heard, silent):
			s.Heard = slices.DeleteFunc(slices.Clone(s.Heard), silent)
		case len(s.Heard) > 0:
			s.Heard = s.Heard[:len(s.Heard)/2]
		case len(s.Aside) > 0:
			s.Aside = nil
		default:
			s.Holds = s.Holds[:len(s.Holds)/2]
		}
	}
}

// shorten keeps the first bytes of a text, as valid UTF-8.
func shorten(text string, limit int) string {
	if len(text) <= limit {
		return text
	}
	return strings.ToValidUTF8(text[:limit], "")
}

// ReadStatus reads the status file of a checker.
func ReadStatus(path string) (Status, error) {
	var s Status
	for try := 0; ; try++ {
		data, err := os.ReadFile(path)
		if err != nil {
			return Status{}, fmt.Errorf("cannot read checker status: %w", err)
		}
		if err = json.Unmarshal(data, &s); err == nil {
			return s, nil
		}
		// It may be written at this moment.
		if try == 2 {
			return Status{}, fmt.Errorf("cannot read checker status %s: %w", path, err)
		}
		time.Sleep(5 * time.Millisecond)
	}
}
