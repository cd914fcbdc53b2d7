package probe_test

import (
	"context"
	"net"
	"net/http"
	"net/netip"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/vishvananda/netns"

	"keepalived-charm/tests/machine"
	"keepalived-charm/tests/poll"
	"keepalived-charm/tests/probe"
)

// patience guards against hanging.
const patience = 2 * time.Minute

// within requires that a time was measured between two that the test saw for itself.
func within(t *testing.T, least, got, most time.Duration, what string) {
	t.Helper()
	require.GreaterOrEqual(t, got, least, what)
	require.LessOrEqual(t, got, most, what)
}

// serve answers HTTP with a name on port 443 of all addresses in a network namespace.
func serve(t *testing.T, path, name string) {
	t.Helper()
	serveAfter(t, path, name, 0)
}

// serveAfter is serve by a server that takes its time.
func serveAfter(t *testing.T, path, name string, pause time.Duration) {
	t.Helper()
	type listening struct {
		net.Listener
		err error
	}
	made := make(chan listening)
	go func() {
		// The thread is not given back: it ends with this goroutine, and with it the change.
		runtime.LockOSThread()
		ns, err := netns.GetFromPath(path)
		if err == nil {
			defer ns.Close()
			err = netns.Set(ns)
		}
		if err != nil {
			made <- listening{err: err}
			return
		}
		l, err := net.Listen("tcp", ":443")
		made <- listening{l, err}
	}()
	l := <-made
	require.NoError(t, l.err)
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-time.After(pause):
		case <-r.Context().Done():
		}
		_, _ = w.Write([]byte(name + "\n"))
	})}
	go func() { _ = server.Serve(l) }() // ends with Close
	t.Cleanup(func() { _ = server.Close() })
}

func ip(t *testing.T, port *machine.Port, args ...string) {
	t.Helper()
	out, err := exec.Command("ip", append([]string{"-n", filepath.Base(port.NetNS)}, args...)...).CombinedOutput()
	require.NoError(t, err, string(out))
}

// TestProberAndObserverSeeAMove moves a VIP by hand between two namespaces: once with a gap, once
// with two holders, once by the death of the holder.
func TestProberAndObserverSeeAMove(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	lab, err := machine.New(ctx, nil)
	require.NoError(t, err)
	defer func() { require.NoError(t, lab.Close()) }()
	binary, err := probe.Build(ctx, t.TempDir())
	require.NoError(t, err)
	observer := probe.NewObserver()
	defer observer.Close()
	ports := map[string]*machine.Port{}
	for _, name := range []string{"a", "b"} {
		ports[name], err = lab.Network.Plug(ctx, name)
		require.NoError(t, err)
		serve(t, ports[name].NetNS, name)
	}
	ip(t, ports["a"], "address", "add", "10.10.74.250/32", "dev", "eth0")
	for name, port := range ports {
		require.NoError(t, observer.Watch(name, port.NetNS))
	}
	require.ErrorContains(t, observer.Watch("a", ports["a"].NetNS), "watched already")
	poll.Until(t, func() bool { return len(observer.Holders(vip)) == 1 }, patience, time.Millisecond)
	// Announcing the new holder is keepalived's work: here the client forgets the old one instead.
	announce := func() { ip(t, lab.Client(), "neighbour", "flush", "dev", "eth0") }

	held := func(names ...string) time.Time {
		t.Helper()
		poll.Until(t, func() bool { return slices.Equal(names, observer.Holders(vip)) }, patience, time.Millisecond)
		return time.Now()
	}

	var live []string
	var lost atomic.Bool
	var breaks atomic.Int32
	client, err := probe.Start(ctx, lab.ClientCommand, binary,
		probe.Prober{Target: netip.AddrPortFrom(vip, 443), Name: true, Hold: true},
		func(e probe.Event) {
			live = append(live, e.Kind)
			switch e.Kind {
			case probe.EventLost, probe.EventBack:
				lost.Store(e.Kind == probe.EventLost)
			case probe.EventBroken:
				breaks.Add(1)
			}
		})
	require.NoError(t, err)
	require.NoError(t, client.WaitGood(ctx))
	time.Sleep(300 * time.Millisecond) // the held connection comes to be
	begin, unbroken := time.Now(), breaks.Load()

	ip(t, ports["a"], "address", "del", "10.10.74.250/32", "dev", "eth0")
	gone := held()
	poll.Until(t, lost.Load, patience, time.Millisecond)
	missed := time.Now()
	time.Sleep(400 * time.Millisecond)
	back := time.Now()
	ip(t, ports["b"], "address", "add", "10.10.74.250/32", "dev", "eth0")
	there := held("b")
	announce()
	require.NoError(t, client.WaitBack(ctx, begin))
	require.Equal(t, "b", client.Server())
	middle := time.Now()
	holding := observer.Between(vip, begin, middle)
	require.Len(t, holding.Moves, 1)
	require.Equal(t, [2]string{"a", "b"}, [2]string{holding.Moves[0].From, holding.Moves[0].To})
	within(t, back.Sub(gone), holding.Moves[0].Gap, there.Sub(begin), "the gap that the kernels tell of")
	require.Equal(t, holding.Moves[0].Gap, holding.None)
	require.Zero(t, holding.Shared)

	// Before a, which knows the connection, has the address again.
	poll.Until(t, func() bool { return breaks.Load() > unbroken }, patience, time.Millisecond)
	joined := time.Now()
	ip(t, ports["a"], "address", "add", "10.10.74.250/32", "dev", "eth0")
	both := held("a", "b")
	time.Sleep(200 * time.Millisecond)
	cut := time.Now()
	require.NoError(t, lab.Network.Unplug(ctx, ports["b"]))
	observer.Power("b", ports["b"].NetNS, false, cut)
	announce()
	poll.Until(t, func() bool { return client.Server() == "a" }, patience, 5*time.Millisecond)
	holding = observer.Between(vip, middle, time.Now())
	require.Len(t, holding.Moves, 1)
	require.Equal(t, [2]string{"b", "a"}, [2]string{holding.Moves[0].From, holding.Moves[0].To})
	within(t, cut.Sub(both), holding.Shared, cut.Sub(joined), "both held it")
	require.Zero(t, holding.None)

	_, err = lab.Network.Plug(ctx, "b")
	require.NoError(t, err)
	observer.Power("b", ports["b"].NetNS, true, time.Now())
	ip(t, ports["b"], "address", "add", "10.10.74.250/32", "dev", "lo")
	poll.Until(t, func() bool { return len(observer.Holders(vip)) == 2 }, patience, time.Millisecond,
		"a machine that came back is followed again")
	require.NoError(t, observer.Err())

	report, err := client.Stop()
	require.NoError(t, err)
	n := slices.IndexFunc(report.Gaps, func(g probe.Gap) bool { return g.Before == "a" && g.After == "b" })
	require.GreaterOrEqual(t, n, 0, "%v", report.Gaps)
	gap := report.Gaps[n]
	require.False(t, gap.From.After(missed), "%v", gap)
	// An attempt takes its limit at most, and begins that late at most.
	within(t, back.Add(-probe.DefaultLimit).Sub(missed), gap.To.Sub(missed), middle.Sub(missed), "the end of the gap that the client saw")
	steps := func(d time.Duration) int { return int(d / probe.DefaultInterval) }
	require.LessOrEqual(t, gap.Lost, steps(gap.Length()+probe.DefaultLimit)+1)
	require.GreaterOrEqual(t, gap.Lost+report.Skipped, steps(gap.Length()-probe.DefaultLimit))
	require.GreaterOrEqual(t, report.Held.Connects, 2)
	require.NotEmpty(t, report.Held.Breaks, "a connection does not survive the move to another machine")
	require.Equal(t, probe.EventStarted, live[0])
	require.Equal(t, probe.EventReport, live[len(live)-1])
	require.InDelta(t, steps(report.To.Sub(report.From)), report.Attempts+report.Skipped-1,
		float64(steps(probe.DefaultLimit)+1+report.Skipped), "one attempt each interval")
}

// TestAPatientProberBlamesTheNetworkOnly has a server answer late, and packets get lost.
func TestAPatientProberBlamesTheNetworkOnly(t *testing.T) {
	const limit = probe.DefaultLimit + 50*time.Millisecond
	for claim, c := range map[string]struct {
		answersAfter time.Duration
		rule         string // of nftables, at the server
		lost         bool
	}{
		"an answer in time":                  {},
		"one that a busy server gives later": {answersAfter: 2 * limit},
		"one that never comes":               {answersAfter: time.Hour, lost: true},
		"a lost first packet":                {rule: "tcp flags syn numgen inc mod 1000 == 0 drop", lost: true},
		// Linux sends it again after 0.2 s or more.
		"a lost request": {rule: "tcp flags & psh == psh numgen inc mod 1000 == 0 drop", lost: true},
	} {
		t.Run(claim, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(context.Background(), patience)
			defer cancel()
			lab, err := machine.New(ctx, nil)
			require.NoError(t, err)
			defer func() { require.NoError(t, lab.Close()) }()
			port, err := lab.Network.Plug(ctx, "a")
			require.NoError(t, err)
			serveAfter(t, port.NetNS, "a", c.answersAfter)
			ip(t, port, "address", "add", "10.10.74.250/32", "dev", "eth0")
			if c.rule != "" {
				out, err := lab.CommandAt(ctx, port, "nft", "add table inet t; add chain inet t in { type filter hook input priority 0; }; add rule inet t in tcp dport 443 "+c.rule).CombinedOutput()
				require.NoError(t, err, string(out))
			}
			binary, err := probe.Build(ctx, t.TempDir())
			require.NoError(t, err)
			client, err := probe.Start(ctx, lab.ClientCommand, binary,
				probe.Prober{Target: netip.AddrPortFrom(vip, 443), Limit: limit, Interval: time.Minute, Name: true}, nil)
			require.NoError(t, err)
			time.Sleep(time.Second)
			report, err := client.Stop()
			require.NoError(t, err)
			require.Equal(t, 1, report.Attempts)
			require.Equal(t, c.lost, report.Lost == 1, "%v", report.Causes)
		})
	}
}

func TestProberThatCannotRunSaysWhy(t *testing.T) {
	binary, err := probe.Build(context.Background(), t.TempDir())
	require.NoError(t, err)
	_, err = probe.Start(context.Background(), exec.CommandContext, binary, probe.Prober{}, nil)
	require.ErrorContains(t, err, `-target is "invalid AddrPort", must be address:port`)
}
