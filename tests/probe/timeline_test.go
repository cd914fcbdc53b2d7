package probe_test

import (
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"keepalived-charm/tests/probe"
)

var vip = netip.MustParseAddr("10.10.74.250")

// on and off make changes of the one VIP.
func on(machine string, at int) probe.Change {
	return probe.Change{At: ms(at), Machine: machine, Addr: vip, Holds: true}
}

func off(machine string, at int) probe.Change {
	return probe.Change{At: ms(at), Machine: machine, Addr: vip}
}

func TestTimeline(t *testing.T) {
	msec := func(n int) time.Duration { return time.Duration(n) * time.Millisecond }
	tests := []struct {
		claim   string
		changes []probe.Change
		want    probe.Holding
		holders []string // at the end, 1000 ms
	}{
		{"nobody ever held it", nil, probe.Holding{None: msec(1000)}, nil},
		{"one holder all the time", []probe.Change{on("a", 0)}, probe.Holding{}, []string{"a"}},
		{"who held it before the span still does", []probe.Change{on("a", -500)}, probe.Holding{}, []string{"a"}},
		{"a move with a gap", []probe.Change{on("a", 0), off("a", 300), on("b", 340)},
			probe.Holding{None: msec(40), Moves: []probe.Move{{From: "a", To: "b", At: ms(340), Gap: msec(40)}}}, []string{"b"}},
		{"a move with an overlap", []probe.Change{on("a", 0), on("b", 300), off("a", 350)},
			probe.Holding{Shared: msec(50), Moves: []probe.Move{{From: "a", To: "b", At: ms(300), Overlap: msec(50)}}}, []string{"b"}},
		{"a second holder that gives up again is an overlap and no move",
			[]probe.Change{on("a", 0), on("b", 300), off("b", 400)}, probe.Holding{Shared: msec(100)}, []string{"a"}},
		{"the same holder dropping it for a while is a gap and no move",
			[]probe.Change{on("a", 0), off("a", 300), on("a", 360)}, probe.Holding{None: msec(60)}, []string{"a"}},
		{"two gaps count by the longer, not their sum",
			[]probe.Change{on("a", 0), off("a", 100), on("a", 120), off("a", 200), on("a", 230)},
			probe.Holding{None: msec(30)}, []string{"a"}},
		{"changes between two and three holders do not divide an overlap",
			[]probe.Change{on("a", 0), on("b", 100), on("c", 150), off("b", 180), off("a", 200)},
			probe.Holding{Shared: msec(100), Moves: []probe.Move{{From: "a", To: "c", At: ms(150), Overlap: msec(50)}}}, []string{"c"}},
		{"a gap open at the end counts up to it", []probe.Change{on("a", 0), off("a", 700)},
			probe.Holding{None: msec(300)}, nil},
		{"an overlap open at the end counts up to it", []probe.Change{on("a", 0), on("b", 900)},
			probe.Holding{Shared: msec(100)}, []string{"a", "b"}},
		{"a change noted twice counts once", []probe.Change{on("a", 0), on("a", 10), off("a", 500), off("a", 600), on("b", 700)},
			probe.Holding{None: msec(200), Moves: []probe.Move{{From: "a", To: "b", At: ms(700), Gap: msec(200)}}}, []string{"b"}},
		{"moves before the span are not in it, their holder is",
			[]probe.Change{on("a", -300), off("a", -200), on("b", -100), off("b", 100), on("a", 110)},
			probe.Holding{None: msec(10), Moves: []probe.Move{{From: "b", To: "a", At: ms(110), Gap: msec(10)}}}, []string{"a"}},
	}
	for _, test := range tests {
		t.Run(test.claim, func(t *testing.T) {
			var line probe.Timeline
			// The order in which changes of different times are noted does not matter.
			for _, i := range rand.Perm(len(test.changes)) {
				line.Note(test.changes[i])
			}
			line.Note(probe.Change{At: ms(500), Machine: "z", Addr: netip.MustParseAddr("fd00::1"), Holds: true})
			require.Equal(t, test.want, line.Between(vip, ms(0), ms(1000)))
			require.Equal(t, test.holders, line.HoldersAt(vip, ms(1000)))
		})
	}
}

func TestHeldBy(t *testing.T) {
	var line probe.Timeline
	line.Note(on("a", 0))
	line.Note(off("a", 100))
	line.Note(on("b", 100))
	require.Equal(t, []netip.Addr{vip}, line.HeldBy("a", ms(50)))
	require.Empty(t, line.HeldBy("a", ms(150)))
	require.Equal(t, []netip.Addr{vip}, line.HeldBy("b", ms(150)))
}

func TestUnsettledIsWhenOneMachineWasAloneAgain(t *testing.T) {
	var line probe.Timeline
	for _, c := range []probe.Change{on("a", 0), on("b", 20), off("a", 30), off("b", 50), on("c", 60), off("c", 90)} {
		line.Note(c)
	}
	for _, row := range []struct {
		claim          string
		from, to, want int
	}{
		{"two at the end", 0, 20, 20},
		{"two that became one", 10, 40, 30},
		{"none that became one", 10, 80, 60},
		{"none at the end", 10, 100, 100},
	} {
		require.Equal(t, ms(row.want), line.Unsettled(vip, ms(row.from), ms(row.to)), row.claim)
	}
	require.Zero(t, line.Unsettled(vip, ms(0), ms(10)), "one all along")
	require.Zero(t, line.Unsettled(vip, ms(70), ms(80)), "what came before does not count")
}

func TestGains(t *testing.T) {
	var line probe.Timeline
	for _, c := range []probe.Change{on("a", 0), off("a", 300), on("b", 310), on("a", 500), on("a", 510), off("a", 520), on("a", 900)} {
		line.Note(c)
	}
	require.Equal(t, []time.Time{ms(500)}, line.Gains("a", vip, ms(0), ms(800)))
	require.Equal(t, []time.Time{ms(0), ms(500), ms(900)}, line.Gains("a", vip, ms(-1), ms(900)))
	require.Empty(t, line.Gains("c", vip, ms(0), ms(1000)))
}
