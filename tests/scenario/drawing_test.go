package scenario_test

import (
	"fmt"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"keepalived-charm/tests/lab"
	"keepalived-charm/tests/svg"
)

// The drawing's measures, in pixels.
const (
	drawnWidth = 960
	drawnLeft  = 170
	drawnRight = 930
	drawnTop   = 92
	drawnRow   = 46
)

const (
	colourHolds  = "#0b5cad"
	colourStands = "#cfe0f1"
	colourKernel = "#222222"
	colourLost   = "#b00020"
)

// draw writes build/failover.svg: the first power cut of the run, as Prometheus stored it, beside
// what the kernels had and a client saw.
func (p *prometheus) draw(t *testing.T) {
	t.Helper()
	cut, back, dead := p.firstCut(t)
	from, to := cut.Add(-4*time.Second), back.Add(12*time.Second)
	across := func(at time.Time) float64 {
		share := float64(at.Sub(from)) / float64(to.Sub(from))
		return drawnLeft + (drawnRight-drawnLeft)*min(1, max(0, share))
	}
	present := p.stored(t, "keepalived_vip_present", from.Add(-2*lab.ScrapeInterval))
	var names []string
	for name := range present {
		names = append(names, name)
	}
	slices.Sort(names)
	bottom := float64(drawnTop + drawnRow*(len(names)+1))
	d := svg.New(drawnWidth, int(bottom)+64, "A failover as Prometheus stored it")
	d.Text(20, 28, 17, "start", colourKernel, "keepalived_vip_present while the holder's machine loses power, as Prometheus stored it")
	d.Text(20, 48, 11, "start", "#555555", fmt.Sprintf("TestStatusFollows on %s; a scrape each second, each box is a sample; off means that nobody is there to be scraped", cut.UTC().Format("2006-01-02 15:04 UTC")))
	for n, sample := range []struct{ colour, text string }{{colourHolds, "1"}, {colourStands, "0"}, {colourKernel, "the kernel has the address"}, {colourLost, "clients cannot connect"}} {
		x := float64(20 + []int{0, 60, 120, 350}[n])
		d.Box(x, 62, 16, 10, sample.colour)
		d.Text(x+22, 72, 12, "start", colourKernel, sample.text)
	}
	for n, name := range names {
		y := float64(drawnTop + drawnRow*n)
		d.Text(drawnLeft-12, y+20, 13, "end", colourKernel, p.unitOn(t, name[len("juju-"):]))
		for _, s := range present[name] {
			until := s.At.Add(lab.ScrapeInterval)
			if s.At.Before(from) || until.After(to) {
				continue
			}
			x := across(s.At)
			d.Box(x, y+6, across(until)-x-1, 20, map[bool]string{true: colourHolds, false: colourStands}[s.Value == 1])
		}
		if name == dead {
			d.Text((across(cut)+across(back))/2, y+21, 12, "middle", "#555555", "off")
		}
		began := time.Time{}
		for at := from; !at.After(to); at = at.Add(20 * time.Millisecond) {
			holds := at.Add(20*time.Millisecond).Before(to) && slices.Contains(p.Holders.HoldersAt(lab.VIP, at), name)
			switch {
			case holds && began.IsZero():
				began = at
			case !holds && !began.IsZero():
				d.Box(across(began), y+29, across(at)-across(began), 4, colourKernel)
				began = time.Time{}
			}
		}
	}
	y := float64(drawnTop + drawnRow*len(names))
	d.Text(drawnLeft-12, y+20, 13, "end", colourKernel, "clients")
	for _, gap := range p.report.Gaps {
		if gap.To.Before(from) || gap.From.After(to) {
			continue
		}
		d.Box(across(gap.From), y+6, max(1.5, across(gap.To)-across(gap.From)), 20, colourLost)
		d.Text(across(gap.To)+6, y+21, 12, "start", colourLost, fmt.Sprintf("%.2f s", gap.Length().Seconds()))
	}
	step := max(1, int(to.Sub(from).Seconds())/12)
	for second := -4; second <= int(to.Sub(cut).Seconds()); second += step {
		x := across(cut.Add(time.Duration(second) * time.Second))
		d.Line(x, drawnTop, x, bottom+5, "#999999", 0.6, ` stroke-dasharray="2 4"`)
		d.Text(x, bottom+20, 12, "middle", colourKernel, fmt.Sprint(second))
	}
	d.Text(drawnRight, bottom+44, 12, "end", colourKernel, "seconds from the power cut")
	require.NoError(t, os.MkdirAll("../../build", 0o755))
	require.NoError(t, os.WriteFile("../../build/failover.svg", []byte(d.End()), 0o644))
}

// firstCut is when a machine first lost power and had it again, and its name.
func (p *prometheus) firstCut(t *testing.T) (cut, back time.Time, name string) {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	for machine, spans := range p.down {
		if first := spans[0]; name == "" || first.from.Before(cut) {
			cut, back, name = first.from, first.to, machine
		}
	}
	require.NotEmpty(t, name, "a machine has lost power")
	return cut, back, name
}
