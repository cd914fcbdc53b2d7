package host

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"keepalived-charm/internal/healthcheck"
	"keepalived-charm/internal/layout"
	"keepalived-charm/internal/vrrp"
)

// longestYield bounds how long keepalived's stop waits for a successor; with it
// intervals up to 2.4 s are yielded in.
const longestYield = 10 * time.Second

// busy is what a successor on a busy machine is granted beside its intervals: this unit
// answers meanwhile, and who gives up too soon leaves clients without an answer.
const busy = time.Second

// Yield runs right before keepalived is stopped and before a shutdown, with the
// health checker's configuration: a holder whose service works lowers its priority
// below that of every healthy standby and goes on, until one of them has taken over,
// as in any pre-emption (RFC 9568 section 6.4.3). Clients miss nothing, where a
// release, with priority 0 on the wire, leaves them without an answer for the skew
// time.
func Yield(config string) error {
	h := New("/", "")
	found, err := h.services(layout.Layout{})
	if err != nil || found[keepalivedService].pid == 0 {
		return err // it has ended by itself, or was killed
	}
	return h.yield(config)
}

// yield does nothing where nobody can take over, and gives up when nobody does.
func (h *Host) yield(config string) error {
	r, err := h.reign(config)
	if err != nil {
		return err
	}
	return h.awaitSuccessor(r.yields, r.limit)
}

// reign is what this unit holds.
type reign struct {
	// yields are the instances that another unit can take over, within limit.
	yields []yielded
	limit  time.Duration
	// stays are those that nobody takes over before they are released.
	stays []healthcheck.Instance
}

// reign tells what this unit holds, by the health checker's configuration.
func (h *Host) reign(config string) (reign, error) {
	var r reign
	text, err := os.ReadFile(h.path(config))
	if errors.Is(err, fs.ErrNotExist) {
		return r, nil
	}
	if err != nil {
		return r, fmt.Errorf("cannot yield: %w", err)
	}
	c, err := healthcheck.Parse(text)
	if err != nil {
		return r, fmt.Errorf("cannot yield: %s: %w", config, err)
	}
	l := layout.Layout{Application: c.Application}
	record := h.applied(l)
	if !record.Serves() {
		return r, nil
	}
	for _, i := range slices.DeleteFunc(c.Instances, func(i healthcheck.Instance) bool { return !holds(i) }) {
		p, ok := record.Routers[l.Number(i.Name)]
		value, readErr := h.trackValue(i.TrackFile)
		least := 4*p.Interval + 200*time.Millisecond
		if !ok || readErr != nil || !mayYield(c, i, value) || least > longestYield {
			r.stays = append(r.stays, i)
			continue
		}
		r.yields = append(r.yields, yielded{i, value})
		r.limit = max(r.limit, min(least+busy, longestYield))
	}
	return r, nil
}

// yielded is an instance that is given up, with the adjustment that it had.
type yielded struct {
	healthcheck.Instance
	value int
}

// mayYield tells whether an instance with this adjustment may have a successor that is
// better than it will be, and is heard. Among units of the Python charm there is no room
// for one. A unit that leaves has no peers in its configuration any more, and yields all
// the same.
func mayYield(c healthcheck.Config, i healthcheck.Instance, value int) bool {
	return !c.Policy.Mixed && !c.Deserted && i.Aside == "" && value >= vrrp.HealthyWeight
}

// awaitSuccessor lowers priorities until others hold the instances. The health
// checker may raise them meanwhile; in the end, too, it is right.
func (h *Host) awaitSuccessor(held []yielded, limit time.Duration) error {
	for deadline := time.Now().Add(limit); ; time.Sleep(10 * time.Millisecond) {
		// Asked once: in a last round all are as before.
		waiting, over := false, time.Now().After(deadline)
		for _, y := range held {
			if !holds(y.Instance) {
				continue
			}
			waiting = true
			value := vrrp.HolderWeight
			if over {
				value = y.value
			}
			if err := h.adjust(y.TrackFile, value); err != nil {
				return err
			}
		}
		if !waiting || over {
			return nil
		}
	}
}

func (h *Host) trackValue(file string) (int, error) {
	text, err := os.ReadFile(h.path(file))
	if err != nil {
		return 0, fmt.Errorf("cannot read track file: %w", err)
	}
	return strconv.Atoi(strings.TrimSpace(string(text)))
}

// adjust writes a track file in place, as keepalived watches it, unless it says so
// already. It never is empty: that would count as 0.
func (h *Host) adjust(file string, value int) error {
	if is, err := h.trackValue(file); err == nil && is == value {
		return nil
	}
	f, err := os.OpenFile(h.path(filepath.Clean(file)), os.O_WRONLY, 0)
	if err != nil {
		return fmt.Errorf("cannot write track file: %w", err)
	}
	if _, err = fmt.Fprintf(f, "%-5d\n", value); err == nil {
		err = f.Close()
	}
	if err != nil {
		return fmt.Errorf("cannot write track file %s: %w", file, err)
	}
	return nil
}
