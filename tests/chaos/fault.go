// Package chaos breaks a deployment in every way that issues on day 2 do, one
// fault after the other, and measures what clients and the machines' kernels see of
// it: how long nobody answers, how long two machines hold the virtual IP, who puts
// it right, and what juju status says meanwhile. Nobody helps: a fault ends by
// itself or with its cause, such as a cable that is plugged in again.
package chaos

import (
	"context"
	"fmt"
	"time"

	"keepalived-charm/tests/lab"
	"keepalived-charm/tests/machine"
)

// A Fault is one thing that goes wrong.
type Fault struct {
	// Name says what, in the words of the table.
	Name string
	// Standby has it happen on a standby's machine instead of the holder's.
	Standby bool
	// Prepare, which may be nil, makes the machines ready for it, unmeasured.
	Prepare Act
	// Inject begins the fault.
	Inject Act
	// Lasts is the time from Inject to Recover.
	Lasts time.Duration
	// Recover ends the cause and nothing else; nil when the deployment is to get over
	// it while the cause goes on, or the cause is over at once.
	Recover Act
	// Restore, which may be nil, takes back what Prepare or Inject left that is no
	// fault, unmeasured.
	Restore Act
	// Bounds are generous multiples of what is usual, to find what got worse.
	Bounds Bounds
	// Telling picks it for the short run that is part of all tests.
	Telling bool
}

// Bounds limit what a fault may cost.
type Bounds struct {
	// Gap is the longest time without a new connection, Overlap the longest with two
	// holders, both from Inject on. Back is how long after the end of the cause it may
	// take until one machine holds the address and answers.
	Gap, Overlap, Back time.Duration
}

// Act does something to the machines of a stage.
type Act func(context.Context, *Stage) error

// Stage is the deployment with the places at which a fault happens.
type Stage struct {
	*lab.Lab
	// Target is the ID of the machine that the fault is about, the holder's unless
	// the fault is a standby's. Others are the remaining ones in order.
	Target string
	Others []string
	// served are the virtual IPs as statuses call them, which is as the option does.
	served string
}

// target is the machine that the fault is about.
func (s *Stage) target() (*machine.Machine, error) { return s.Machine(s.Target) }

// ids lists the machines of the deployment, the target first.
func (s *Stage) ids() []string { return append([]string{s.Target}, s.Others...) }

// on runs a script on machines.
func (s *Stage) on(ctx context.Context, script string, ids ...string) error {
	for _, id := range ids {
		m, err := s.Machine(id)
		if err != nil {
			return err
		}
		if _, err := m.Run(ctx, script); err != nil {
			return err
		}
	}
	return nil
}

// script runs a shell script on the target.
func script(text string) Act {
	return func(ctx context.Context, s *Stage) error { return s.on(ctx, text, s.Target) }
}

// everywhere runs a shell script on every machine.
func everywhere(text string) Act {
	return func(ctx context.Context, s *Stage) error { return s.on(ctx, text, s.ids()...) }
}

// one does something to the target's machine.
func one(do func(context.Context, *machine.Machine) error) Act {
	return func(ctx context.Context, s *Stage) error {
		m, err := s.target()
		if err != nil {
			return err
		}
		return do(ctx, m)
	}
}

// all does one thing after the other.
func all(acts ...Act) Act {
	return func(ctx context.Context, s *Stage) error {
		for _, act := range acts {
			if err := act(ctx, s); err != nil {
				return err
			}
		}
		return nil
	}
}

// Faults lists every fault, in the order of the table.
func Faults() []Fault {
	var list []Fault
	for _, part := range [][]Fault{processFaults(), fileFaults(), machineFaults(), networkFaults(), lossFaults(), serviceFaults(), jujuFaults()} {
		list = append(list, part...)
	}
	return list
}

// seconds is a number of seconds as a time.
func seconds(n float64) time.Duration { return time.Duration(n * float64(time.Second)) }

// bounds are those of a fault: see Bounds, in seconds.
func bounds(gap, overlap, back float64) Bounds {
	return Bounds{Gap: seconds(gap), Overlap: seconds(overlap), Back: seconds(back)}
}

// unmet says which bounds a result does not meet; empty when it meets all.
func (b Bounds) unmet(r Result) string {
	switch {
	case r.Open != "":
		return "does not recover: " + r.Open
	case r.Gap > b.Gap:
		return fmt.Sprintf("nobody answered for %v, bound %v", r.Gap, b.Gap)
	case r.Overlap > b.Overlap:
		return fmt.Sprintf("two holders for %v, bound %v", r.Overlap, b.Overlap)
	case r.Back > b.Back:
		return fmt.Sprintf("one holder again after %v, bound %v", r.Back, b.Back)
	case r.Late != "":
		return "a status was wrong until the next hook: " + r.Late
	}
	return ""
}
