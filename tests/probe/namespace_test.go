package probe_test

import (
	"context"
	"net"
	"net/http"
	"net/netip"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/vishvananda/netns"

	"keepalived-charm/tests/machine"
	"keepalived-charm/tests/poll"
	"keepalived-charm/tests/probe"
)

// slack is how far measured times may be off on a busy host.
const slack = 150 * time.Millisecond

// serve answers HTTP with a name on port 443 of all addresses in a network namespace.
func serve(t *testing.T, path, name string) {
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
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
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
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
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
	poll.Until(t, func() bool { return len(observer.Holders(vip)) == 1 }, 30*time.Second, time.Millisecond)
	// Announcing the new holder is keepalived's work: here the client forgets the old one instead.
	announce := func() { ip(t, lab.Client(), "neighbour", "flush", "dev", "eth0") }

	var live []string
	client, err := probe.Start(ctx, lab.ClientCommand, binary,
		probe.Prober{Target: netip.AddrPortFrom(vip, 443), Name: true, Hold: true},
		func(e probe.Event) { live = append(live, e.Kind) })
	require.NoError(t, err)
	require.NoError(t, client.WaitGood(ctx))
	time.Sleep(300 * time.Millisecond)
	begin := time.Now()

	ip(t, ports["a"], "address", "del", "10.10.74.250/32", "dev", "eth0")
	time.Sleep(400 * time.Millisecond)
	ip(t, ports["b"], "address", "add", "10.10.74.250/32", "dev", "eth0")
	announce()
	require.NoError(t, client.WaitBack(ctx, begin))
	require.Equal(t, "b", client.Server())
	middle := time.Now()
	holding := observer.Between(vip, begin, middle)
	require.Len(t, holding.Moves, 1)
	require.Equal(t, [2]string{"a", "b"}, [2]string{holding.Moves[0].From, holding.Moves[0].To})
	require.InDelta(t, 400*time.Millisecond, holding.Moves[0].Gap, float64(slack))
	require.Equal(t, holding.Moves[0].Gap, holding.None)
	require.Zero(t, holding.Shared)

	ip(t, ports["a"], "address", "add", "10.10.74.250/32", "dev", "eth0")
	time.Sleep(200 * time.Millisecond)
	require.Equal(t, []string{"a", "b"}, observer.Holders(vip))
	cut := time.Now()
	require.NoError(t, lab.Network.Unplug(ctx, ports["b"]))
	observer.Power("b", ports["b"].NetNS, false, cut)
	announce()
	poll.Until(t, func() bool { return client.Server() == "a" }, 30*time.Second, 5*time.Millisecond)
	holding = observer.Between(vip, middle, time.Now())
	require.Len(t, holding.Moves, 1)
	require.Equal(t, [2]string{"b", "a"}, [2]string{holding.Moves[0].From, holding.Moves[0].To})
	require.InDelta(t, 200*time.Millisecond, holding.Shared, float64(slack))
	require.Zero(t, holding.None)

	_, err = lab.Network.Plug(ctx, "b")
	require.NoError(t, err)
	observer.Power("b", ports["b"].NetNS, true, time.Now())
	ip(t, ports["b"], "address", "add", "10.10.74.250/32", "dev", "lo")
	poll.Until(t, func() bool { return len(observer.Holders(vip)) == 2 }, 30*time.Second, time.Millisecond,
		"a machine that came back is followed again")
	require.NoError(t, observer.Err())

	report, err := client.Stop()
	require.NoError(t, err)
	gap := report.Since(begin).Gaps[0]
	require.InDelta(t, 400*time.Millisecond, gap.Length(), float64(slack))
	require.Equal(t, [2]string{"a", "b"}, [2]string{gap.Before, gap.After})
	require.InDelta(t, 40, gap.Lost, 15)
	require.GreaterOrEqual(t, report.Held.Connects, 2)
	require.NotEmpty(t, report.Held.Breaks, "a connection does not survive the move to another machine")
	require.Equal(t, probe.EventStarted, live[0])
	require.Equal(t, probe.EventReport, live[len(live)-1])
	pace := report.To.Sub(report.From) / time.Duration(report.Attempts+report.Skipped-1)
	require.InDelta(t, 10*time.Millisecond, pace, float64(time.Millisecond))
}

func TestProberThatCannotRunSaysWhy(t *testing.T) {
	binary, err := probe.Build(context.Background(), t.TempDir())
	require.NoError(t, err)
	_, err = probe.Start(context.Background(), exec.CommandContext, binary, probe.Prober{}, nil)
	require.ErrorContains(t, err, `-target is "invalid AddrPort", must be address:port`)
}
