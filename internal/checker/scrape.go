package checker

import (
	"bytes"
	"context"
	"fmt"
	"log"
	"slices"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"keepalived-charm/internal/exporter"
	"keepalived-charm/internal/group"
	"keepalived-charm/internal/healthcheck"
	"keepalived-charm/internal/metrics"
	"keepalived-charm/internal/vrrp"
)

// maxHook bounds what is read of the file in which hooks tell what they found.
const maxHook = 64 << 10

// scrapes answers for the metrics. The loop gives what it knows when it is asked and does
// nothing for them otherwise; the kernel is asked, and the text made, apart from it.
type scrapes struct {
	exporter *exporter.Exporter // nil: no metrics
	// wanted asks the loop for a snapshot.
	wanted  chan chan metrics.Snapshot
	version string
	check   metrics.Check

	// hook is the file of the hooks, open since this process was root; -1: none. last is
	// what was read there, of use while a hook writes.
	hook int
	last *metrics.Hook
	link string
	ours []string
}

// openScrapes gets the port and opens the file of the hooks, for root's privileges. Metrics
// that cannot be served keep nothing from working.
func openScrapes(c healthcheck.Config, version string, log *log.Logger) scrapes {
	s := scrapes{version: version, wanted: make(chan chan metrics.Snapshot), check: metrics.Check{Type: string(c.Check.Type)},
		hook: -1, link: c.Metrics.Link, ours: append(slices.Clone(c.Links), "lo")}
	if c.Metrics == (healthcheck.Metrics{}) {
		return s
	}
	fd, err := unix.Open(c.Metrics.Hook, unix.O_RDONLY|unix.O_CREAT|unix.O_NOFOLLOW|unix.O_CLOEXEC|unix.O_NONBLOCK, 0o600)
	if err != nil {
		log.Printf("cannot open %s, metrics lack what hooks know: %v", c.Metrics.Hook, err)
	} else {
		s.hook = fd
	}
	s.exporter = exporter.New(c.Metrics.Port, s.collector(), log)
	return s
}

func (s *scrapes) close() {
	if s.hook >= 0 {
		unix.Close(s.hook)
	}
}

// serving is the port that is served; 0 for none.
func (s *scrapes) serving() int { return s.exporter.Serving() }

// checked takes in one check.
func (s *scrapes) checked(o outcome) {
	s.check.Passes = o.err == nil
	if s.check.Passes {
		s.check.Passed++
	} else {
		s.check.Failed++
	}
	s.check.Duration.Observe(o.took)
}

// collector returns what makes the text; it is called by one at a time. It has what it needs
// by value: the loop's part of scrapes changes meanwhile.
func (s scrapes) collector() func(context.Context) ([]byte, error) {
	return func(ctx context.Context) ([]byte, error) {
		reply := make(chan metrics.Snapshot, 1)
		var snapshot metrics.Snapshot
		select {
		case s.wanted <- reply:
			snapshot = <-reply
		case <-ctx.Done():
			return nil, fmt.Errorf("cannot ask the health checker: %w", ctx.Err())
		}
		if err := s.present(snapshot.Instances); err != nil {
			return nil, err
		}
		s.last = s.readHook()
		snapshot.Hook = s.last
		var text bytes.Buffer
		err := metrics.Write(&text, snapshot)
		return text.Bytes(), err
	}
}

// present asks the kernel which virtual IPs it has.
func (s *scrapes) present(instances []metrics.Instance) error {
	var addresses kernelAddresses
	err := error(nil)
	for range 5 { // it may change meanwhile
		if addresses, err = readAddresses(); err == nil {
			break
		}
	}
	if err != nil {
		return err
	}
	others := map[int]bool{}
	for _, i := range instances {
		for n := range i.Addresses {
			a := &i.Addresses[n]
			for _, index := range addresses[a.Addr] {
				other, known := others[index]
				if !known {
					other = s.others(index)
					others[index] = other
				}
				a.Present = a.Present || !other
			}
		}
	}
	return nil
}

// others tells an interface whose addresses are none of the charm's business, as in package
// facts: nobody on the network finds them there.
func (s *scrapes) others(index int) bool {
	link, err := netlink.LinkByIndex(index)
	if err != nil {
		return true // it is gone
	}
	return link.Attrs().RawFlags&unix.IFF_NOARP != 0 && !slices.Contains(s.ours, link.Attrs().Name)
}

// readHook returns what hooks told; nil for nothing.
func (s *scrapes) readHook() *metrics.Hook {
	if s.hook < 0 {
		return nil
	}
	text := make([]byte, maxHook)
	n, err := unix.Pread(s.hook, text, 0)
	if err != nil {
		return s.last
	}
	if h, err := metrics.DecodeHook(text[:n]); err == nil {
		return &h
	}
	return s.last
}

// snapshot is what the loop knows. What the kernel and the hooks know comes later.
func (l *loop) snapshot(now time.Time) metrics.Snapshot {
	l.hear(now)
	h := &l.election.health
	s := metrics.Snapshot{Version: l.scrapes.version, Up: l.daemon.runs(), Restarts: l.daemon.restarts,
		Paused: l.config.Aside() == group.Paused.Text(), HeldBack: l.election.damping.heldBack(), Check: l.scrapes.check}
	s.Check.Verdict, s.Check.Failures = h.verdict.String(), h.failed
	for n, t := range l.tracks {
		k, m := &l.chronicle.instances[n], l.election.members[n]
		i := metrics.Instance{Name: t.Name, Link: l.scrapes.link, ID: t.VirtualRouterID, Adjustment: l.election.value(n), Moves: k.moves}
		_, heard := k.heard.holder(now)
		i.HolderSeen = m.holder || heard
		switch {
		case m.holder:
			i.Role = metrics.Holder
		case m.out:
			i.Role = metrics.Aside
		case !s.Up || len(l.chronicle.down) > 0 || i.Adjustment <= vrrp.StepAside:
			i.Role = metrics.Fault
		default:
			i.Role = metrics.Standby
		}
		for _, a := range slices.DeleteFunc(slices.Clone(t.Addresses), vrrp.IsAnchor) {
			i.Addresses = append(i.Addresses, metrics.Address{Addr: a})
		}
		for _, s := range k.heard.senders {
			i.Heard = append(i.Heard, metrics.Heard{Peer: s.address, Priority: s.priority, Last: s.last})
		}
		s.Instances = append(s.Instances, i)
	}
	return s
}
