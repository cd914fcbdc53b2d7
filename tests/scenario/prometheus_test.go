package scenario_test

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"keepalived-charm/tests/lab"
	"keepalived-charm/tests/patience"
	"keepalived-charm/tests/poll"
	"keepalived-charm/tests/probe"
)

// prometheus is a deployment that is scraped, with what is known of it otherwise.
type prometheus struct {
	*lab.Prometheus
	*deployment
	// began is when all units were scraped.
	began time.Time

	mu sync.Mutex
	// down is when each machine lost power and had it again.
	down map[string][]span
	// report is what a client saw of the first power cut.
	report probe.Report
}

// span is a piece of time; an open one has no end.
type span struct{ from, to time.Time }

// collect relates a collector to keepalived:cos-agent, with a Prometheus behind it.
func (d *deployment) collect(t *testing.T) *prometheus {
	p := &prometheus{deployment: d, down: map[string][]span{}}
	d.scenario(t, "juju integrate keepalived:cos-agent has every unit scraped", func(t *testing.T) {
		var err error
		p.Prometheus, err = d.Collect(d.ctx)
		require.NoError(t, err)
		poll.Until(t, func() bool {
			up, err := p.Query(d.ctx, "keepalived_up == 1 and up == 1")
			return err == nil && len(up) == len(d.units())
		}, 30*time.Second, 100*time.Millisecond)
		p.began = time.Now()
		d.Net.OnPower(p.power)
	})
	return p
}

func (p *prometheus) power(name, _ string, on bool, at time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	spans := p.down[name]
	switch {
	case !on:
		p.down[name] = append(spans, span{from: at})
	case len(spans) > 0:
		spans[len(spans)-1].to = at
	}
}

// stored are the samples of an expression since a moment, as they were stored, by machine.
func (p *prometheus) stored(t *testing.T, selector string, since time.Time) map[string][]lab.Sample {
	t.Helper()
	found, err := p.Query(p.ctx, fmt.Sprintf("%s[%ds]", selector, int(time.Since(since).Seconds())+1))
	require.NoError(t, err)
	all := map[string][]lab.Sample{}
	for _, s := range found {
		name := "juju-" + p.machineOf(t, s.Labels["juju_unit"])
		require.Empty(t, all[name], "%s is one series of %s", selector, name)
		all[name] = slices.DeleteFunc(s.Samples, func(s lab.Sample) bool { return s.At.Before(since) })
	}
	return all
}

// late is how long a metric may say what is no more so: two scrapes.
func late() time.Duration { return patience.With(2 * lab.ScrapeInterval) }

// believes requires that samples say what was so at some moment of two scrapes.
func believes(t *testing.T, what string, samples []lab.Sample, truth func(time.Time) bool) {
	t.Helper()
	for _, s := range samples {
		right := truth(s.At) == (s.Value == 1)
		// A sample has the time at which the scrape began.
		for at := s.At.Add(lab.ScrapeInterval / 2); !right && at.After(s.At.Add(-late())); at = at.Add(-20 * time.Millisecond) {
			right = truth(at) == (s.Value == 1)
		}
		require.True(t, right, "%s is %v at %s, and was not so for two scrapes", what, s.Value, s.At.Format(time.StampMilli))
	}
}

// truth compares what was stored with what the kernels had.
func (p *prometheus) truth(t *testing.T) {
	p.scenario(t, "what Prometheus stored is what the kernels had, two scrapes late at most", func(t *testing.T) {
		time.Sleep(late())
		now := time.Now()
		present := p.stored(t, "keepalived_vip_present", p.began)
		holder := p.stored(t, `keepalived_vrrp_role{role="holder"}`, p.began)
		scraped := p.stored(t, "keepalived_up", p.began)
		require.Len(t, present, len(p.units()))
		gained := 0
		for name, samples := range present {
			held := func(at time.Time) bool { return slices.Contains(p.Holders.HoldersAt(lab.VIP, at), name) }
			believes(t, "presence at "+name, samples, held)
			believes(t, "role holder at "+name, holder[name], held)
			p.gaps(t, name, scraped[name])
			gained += p.counts(t, name, now)
		}
		moves := lasting(p.Holders.Between(lab.VIP, p.began, now).Moves)
		t.Logf("%d samples of each unit, %d moves, %d counted", len(scraped["juju-0"]), len(moves), gained)
		require.GreaterOrEqual(t, gained, len(moves), "every move was counted where it went")
		p.client(t, present)
		p.draw(t)
	})
}

// client requires that the new holder was stored as such when clients reached it after the
// first power cut.
func (p *prometheus) client(t *testing.T, present map[string][]lab.Sample) {
	t.Helper()
	cut, _, dead := p.firstCut(t)
	var taken time.Time
	for name, samples := range present {
		for _, s := range samples {
			if name != dead && s.Value == 1 && s.At.After(cut) && (taken.IsZero() || s.At.Before(taken)) {
				taken = s.At
			}
		}
	}
	require.WithinDuration(t, p.report.Longest().To, taken, late())
}

// gaps requires samples at every scrape but while a machine was off or booted.
func (p *prometheus) gaps(t *testing.T, name string, samples []lab.Sample) {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	for n := range samples {
		if n == 0 || samples[n].At.Sub(samples[n-1].At) <= late()+lab.ScrapeInterval/2 {
			continue
		}
		from, to := samples[n-1].At, samples[n].At
		excused := slices.ContainsFunc(p.down[name], func(off span) bool {
			return !from.Before(off.from.Add(-late())) && !to.After(off.to.Add(patience.With(10*time.Second)))
		})
		require.True(t, excused, "%s has no sample from %s for %v; it was off at %v", name, from.Format(time.StampMilli), to.Sub(from), p.down[name])
	}
}

// counts requires that a unit counted no more gains than its kernel had, and returns how many.
func (p *prometheus) counts(t *testing.T, name string, until time.Time) int {
	t.Helper()
	found, err := p.Query(p.ctx, fmt.Sprintf("keepalived_become_master_total[%ds]", int(until.Sub(p.began).Seconds())+1))
	require.NoError(t, err)
	gained := 0.0
	for _, s := range found {
		if "juju-"+p.machineOf(t, s.Labels["juju_unit"]) != name {
			continue
		}
		before := s.Samples[0].Value
		for _, sample := range s.Samples {
			switch {
			case sample.Value < before: // the machine booted
				gained += sample.Value
			default:
				gained += sample.Value - before
			}
			before = sample.Value
		}
	}
	kernel := p.Holders.Gains(name, lab.VIP, p.began.Add(-late()), until)
	t.Logf("%s counted %v of %d gains", name, gained, len(kernel))
	require.LessOrEqual(t, int(gained), len(kernel))
	return int(gained)
}
