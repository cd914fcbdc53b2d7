package lab

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"keepalived-charm/tests/machine"
	"keepalived-charm/tests/patience"
	"keepalived-charm/tests/probe"
)

// Measurement is what clients and the machines' kernels saw around one event.
type Measurement struct {
	// Outage is the longest time in which no new connection succeeded.
	Outage time.Duration
	// Open says that it had not ended when the measurement did.
	Open bool
	// Attempts and Lost count new connections, one every 10 ms.
	Attempts, Lost int
	// Causes counts lost connections by cause: timeout, refused, ...
	Causes map[string]int
	// Shared is the longest time in which two machines had the address, None the
	// longest in which no machine had it.
	Shared, None time.Duration
	// Moves counts how often the address changed machines.
	Moves []probe.Move
	// Cuts counts how often a held connection broke.
	Cuts int
	// Skipped counts attempts that the measuring side itself missed.
	Skipped int
}

// String shows a measurement in one line.
func (m Measurement) String() string {
	causes := ""
	if m.Lost > 0 {
		causes = fmt.Sprintf(" by %v", m.Causes)
	}
	return fmt.Sprintf("outage %v (%d of %d connections lost%s), two holders %v, no holder %v, %d move(s), %d cut(s)",
		m.Outage.Round(time.Millisecond), m.Lost, m.Attempts, causes, m.Shared.Round(time.Millisecond),
		m.None.Round(time.Millisecond), len(m.Moves), m.Cuts)
}

// Holder returns the machine, by Juju's ID, that alone has an address.
func (l *Lab) Holder(vip netip.Addr) (string, error) {
	holders := l.Holders.Holders(vip)
	if len(holders) != 1 {
		return "", fmt.Errorf("cannot name the holder of %s: machines %v have it", vip, holders)
	}
	return holders[0][len("juju-"):], nil
}

// WaitHolder waits until exactly one machine has an address and the client
// reaches it.
func (l *Lab) WaitHolder(ctx context.Context, vip netip.Addr) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, patience.With(20*time.Second))
	defer cancel()
	c, err := l.Probe(ctx, vip)
	if err != nil {
		return "", err
	}
	err = c.WaitGood(ctx)
	_, stopErr := c.Stop()
	if err := errors.Join(err, stopErr); err != nil {
		return "", err
	}
	for {
		id, err := l.Holder(vip)
		if err == nil {
			return id, nil
		}
		select {
		case <-ctx.Done():
			return "", err
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// Probe begins to connect to a virtual IP every 10 ms, until the client is stopped.
func (l *Lab) Probe(ctx context.Context, vip netip.Addr) (*probe.Client, error) {
	return probe.Start(ctx, l.Net.ClientCommand, l.programs.Probe,
		probe.Prober{Target: netip.AddrPortFrom(vip, machine.ServicePort), Limit: l.patience, Name: true, Hold: true}, nil)
}

// Measure probes the virtual IP while event happens and for rest after it; the
// address must answer before.
func (l *Lab) Measure(ctx context.Context, vip netip.Addr, rest time.Duration, event func(context.Context) error) (Measurement, error) {
	all, err := l.MeasureAll(ctx, []netip.Addr{vip}, rest, event)
	if err != nil {
		return Measurement{}, err
	}
	return all[0], nil
}

// MeasureAll is Measure of several virtual IPs around one event.
func (l *Lab) MeasureAll(ctx context.Context, vips []netip.Addr, rest time.Duration, event func(context.Context) error) ([]Measurement, error) {
	defer l.Quietly(ctx)()
	var clients []*probe.Client
	var err error
	for _, vip := range vips {
		var c *probe.Client
		if c, err = l.Probe(ctx, vip); err != nil {
			break
		}
		clients = append(clients, c)
		if err = waitGood(ctx, c); err != nil {
			break
		}
	}
	from := time.Now()
	if err == nil {
		time.Sleep(300 * time.Millisecond) // a piece of the time before
		from = time.Now()
		err = event(ctx)
	}
	if err == nil {
		pause(ctx, rest)
	}
	for _, c := range clients {
		if err == nil {
			err = waitEnd(ctx, c)
		}
	}
	var all []Measurement
	for i, c := range clients {
		report, stopErr := c.Stop()
		err = errors.Join(err, stopErr)
		all = append(all, measurement(report, l.Holders.Between(vips[i], from, time.Now())))
	}
	return all, errors.Join(err, l.Holders.Err())
}

// answerLimit bounds how long an address may take to answer before it is measured.
const answerLimit = time.Minute

func waitGood(ctx context.Context, c *probe.Client) error {
	limited, cancel := context.WithTimeout(ctx, patience.With(answerLimit))
	defer cancel()
	return c.WaitGood(limited)
}

func measurement(report probe.Report, holding probe.Holding) Measurement {
	m := Measurement{
		Outage:   report.Longest().Length(),
		Open:     report.Longest().Open,
		Attempts: report.Attempts,
		Lost:     report.Lost,
		Causes:   report.Causes,
		Shared:   holding.Shared,
		None:     holding.None,
		Moves:    holding.Moves,
		Skipped:  report.Skipped,
	}
	if report.Held != nil {
		m.Cuts = len(report.Held.Breaks)
	}
	return m
}

// endLimit bounds how much longer than planned an outage is watched.
const endLimit = 15 * time.Second

// waitEnd waits until the address answers; one that stays silent is a result and
// no error.
func waitEnd(ctx context.Context, c *probe.Client) error {
	limited, cancel := context.WithTimeout(ctx, endLimit)
	defer cancel()
	if err := c.WaitGood(limited); err != nil && limited.Err() == nil {
		return err
	}
	return ctx.Err()
}

// Fetch asks the virtual IP once, from the client, for the machine that answers.
func (l *Lab) Fetch(ctx context.Context, vip netip.Addr) (string, error) {
	c, err := l.Probe(ctx, vip)
	if err != nil {
		return "", err
	}
	err = waitGood(ctx, c)
	name := c.Server()
	_, stopErr := c.Stop()
	return name, errors.Join(err, stopErr)
}
