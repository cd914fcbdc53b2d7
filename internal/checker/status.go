package checker

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"time"
)

// Status is what the checker tells hooks about itself. It is written at a change of
// the verdict, at other changes at most once per second, and every 5 seconds.
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
	// Holds names the instances whose address this unit has.
	Holds []string `json:"holds,omitempty"`
	// LastError is the cause of the last failed check, shortened; empty once a
	// check passes.
	LastError string `json:"last_error,omitempty"`
	// LastDurationMS is how long the last check took, in milliseconds.
	LastDurationMS float64 `json:"last_duration_ms"`
	// Checks and StepAsides count since the checker started.
	Checks     uint64 `json:"checks"`
	StepAsides uint64 `json:"step_asides"`
}

const (
	// statusSize is the size of the status file: every text is padded to it.
	statusSize = 4096
	maxError   = 300
)

// text is the status file's content.
func (s Status) text() string {
	s.LastError = shorten(s.LastError, maxError)
	for {
		data, err := json.Marshal(s)
		if err == nil && len(data) < statusSize {
			return string(data) + strings.Repeat(" ", statusSize-1-len(data)) + "\n"
		}
		// Hundreds of instances: name as many as there is room for.
		s.Holds = s.Holds[:len(s.Holds)/2]
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
