package group_test

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"keepalived-charm/internal/group"
	"keepalived-charm/internal/juju"
	"keepalived-charm/internal/vrrp"
)

// The model is a group of two or three units in which everything may happen in any
// order: hooks begin, act, publish, end and are killed, options change, agents are away,
// machines die and come back, units join, leave and are refreshed to another revision.
// Decide, the code that ships, decides; the rest of a unit is reduced to what it runs,
// what its agent keeps it out for, and whether it holds. All reachable states of a
// scope are visited, and what must hold is asserted in each.

// most is how many units a scope has at most.
const most = 3

// said is a Word, comparable: announcements and reasons are numbers (model.texts).
type said struct {
	serves      bool
	runs        uint8 // model.parameters; 0 is none
	next, aside uint8 // model.texts; 0 is none
	round       uint8
}

// machine is one unit with its machine.
type machine struct {
	// there tells that the unit exists, leaves that its peers are being taken away, up
	// that the machine has power, agent that hooks run.
	there, leaves, up, agent bool
	// due tells that a hook is to come, loses that it tells of one that leaves.
	due, loses bool
	// runs is what the configuration says, 0 for none; stands what the agent keeps the
	// unit out for; again that it takes part all the same, as the virtual IP was dead;
	// fresh that no hook has looked since the boot.
	runs, stands uint8
	again, fresh bool
	holds        bool
	reign        uint8
	told         said
	// later tells the neighbouring revision, whose words the others cannot read.
	later bool
	// step is how far the running hook is, 0 for none; the rest is what it decided.
	step         uint8
	decided      said
	pin          bool
	stale, fixed bool // its hook read the world before a fault; that one's successor has begun
	old          bool // it has told nothing since its boot
}

// world is a state of the model.
type world struct {
	units   [most]machine
	wanted  uint8
	clock   uint8
	changes uint8 // how many of each may still happen
	deaths  uint8
	kills   uint8
	absents uint8
	moves   uint8 // units that join or leave
	others  uint8 // refreshes
	// parted tells that units which do not hear each other take part since a hook that had
	// read the world before a fault: until the hooks have run that this causes.
	parted bool
}

// scope is a start and how much may happen.
type scope struct {
	units int
	fresh bool // nobody serves yet
	world
}

// model visits the states of a scope.
type model struct {
	t          *testing.T
	parameters []vrrp.Parameters
	texts      []string
	seen       map[world]int32
	list       []visited
	settles    map[world]bool
	units      int
}

type visited struct {
	world
	from  int32
	event string
}

func newModel(t *testing.T, units int) *model {
	m := &model{t: t, parameters: []vrrp.Parameters{{}}, texts: []string{""}, seen: map[world]int32{}, settles: map[world]bool{}, units: units}
	for _, id := range []vrrp.VirtualRouterID{23, 51} {
		m.parameters = append(m.parameters, vrrp.Parameters{Version: 3, Mode: vrrp.Multicast, VirtualRouterID: id,
			Interval: 200 * time.Millisecond, Anchor: vrrp.Anchor(id, false)})
	}
	return m
}

func name(n int) juju.Unit { return juju.Unit{Application: "keepalived", Number: n} }

// text numbers an announcement or a reason.
func (m *model) text(s string) uint8 {
	n := slices.Index(m.texts, s)
	if n < 0 {
		n = len(m.texts)
		m.texts = append(m.texts, s)
	}
	require.Less(m.t, n, 256)
	return uint8(n)
}

func (m *model) number(p vrrp.Parameters) uint8 { return uint8(slices.Index(m.parameters, p)) }

// word is what a unit told, as a unit reads it.
func (m *model) word(s said, unread bool) group.Word {
	w := group.Word{Serves: s.serves, Runs: m.parameters[s.runs], Aside: group.Aside(m.texts[s.aside]), Round: int(s.round)}
	w.Next = group.ParseAnnouncement(m.texts[s.next])
	w.Announces = w.Next != nil
	if unread {
		w.Runs, w.Next = vrrp.Parameters{}, nil
		if w.Aside != "" {
			w.Aside = "unread"
		}
	}
	return w
}

// view is what the hook of unit n reads.
func (m *model) view(w world, n int) group.View {
	u := w.units[n]
	v := group.View{Unit: name(n), Runs: m.parameters[u.runs], Serves: u.runs > 0, Wanted: m.parameters[w.wanted],
		Starts: m.parameters[w.wanted], Told: m.word(u.told, false), Stands: group.Aside(m.texts[u.stands]),
		Grouped: !u.leaves, Departs: u.leaves, Loses: u.loses, Planned: 1, Holds: u.holds, Reign: int64(u.reign), Fresh: u.fresh,
		Accepts: func(vrrp.Parameters) bool { return true }}
	for k, p := range w.units[:m.units] {
		v.Hears = v.Hears || k != n && p.holds && p.leaves && u.runs > 0 && m.hear(w, n, k)
		if k == n || !p.there || p.leaves || u.leaves {
			continue
		}
		v.Planned++
		v.Peers = append(v.Peers, group.Peer{Unit: name(k), Word: m.word(p.told, p.later && !u.later), Lost: !p.up})
	}
	return v
}

// takesPart tells that a unit's daemon takes part in an election.
func (u machine) takesPart() bool {
	return u.there && u.up && u.runs > 0 && (u.again || u.stands == 0 && !u.fresh)
}

// elect returns the worlds that elections may lead to: whoever hears nobody that holds
// may be the one that does, and of two holders that hear each other either stays.
func (m *model) elect(w world) []world {
	for n := range w.units[:m.units] {
		if u := &w.units[n]; u.holds && !u.takesPart() {
			u.holds = false
		}
	}
	for a := range w.units[:m.units] {
		for b := range w.units[:a] {
			if w.units[a].holds && w.units[b].holds && m.hear(w, a, b) {
				one, other := w, w
				one.units[a].holds, other.units[b].holds = false, false
				return append(m.elect(one), m.elect(other)...)
			}
		}
	}
	var next []world
	for n, u := range w.units[:m.units] {
		if !u.takesPart() || u.holds {
			continue
		}
		heard := false
		for k := range w.units[:m.units] {
			heard = heard || k != n && w.units[k].holds && m.hear(w, n, k)
		}
		if !heard {
			won := w
			won.clock++
			won.units[n].holds, won.units[n].reign = true, won.clock
			next = append(next, m.elect(won)...)
		}
	}
	if next == nil {
		return []world{w}
	}
	return next
}

func (m *model) hear(w world, a, b int) bool {
	return m.parameters[w.units[a].runs].Understands(m.parameters[w.units[b].runs])
}

func (w world) holders() (n int) {
	for _, u := range w.units {
		if u.holds {
			n++
		}
	}
	return n
}

// stale tells that some hook acts on what is no longer so.
func (w world) stale() bool {
	return slices.ContainsFunc(w.units[:], func(u machine) bool { return u.stale })
}

// news has the others run a hook.
func (w *world) news(from int) {
	for n := range w.units {
		if n != from && w.units[n].there {
			w.units[n].due = true
		}
	}
}

// broken notes that what running hooks have read is no longer so.
func (w *world) broken() {
	for n := range w.units {
		if u := &w.units[n]; u.step > 0 {
			u.stale, u.fixed = true, false
		}
	}
}

// event is something that happens; fault tells that it may cost a gap by itself.
type event struct {
	name  string
	fault bool
	world
}

// events lists what may happen.
func (m *model) events(w world) []event {
	var list []event
	add := func(fault bool, w world, format string, arguments ...any) {
		for _, e := range m.elect(w) {
			list = append(list, event{fmt.Sprintf(format, arguments...), fault, e})
		}
	}
	if w.changes > 0 {
		next := w
		next.changes--
		next.wanted = w.wanted%uint8(len(m.parameters)-1) + 1
		next.news(-1)
		add(false, next, "set parameters %d", next.wanted)
	}
	for n, u := range w.units[:m.units] {
		next := w
		o := &next.units[n]
		switch {
		case !u.there:
			if w.moves > 0 && u == (machine{}) {
				next.moves--
				*o = machine{there: true, up: true, agent: true, due: true}
				next.news(n)
				add(false, next, "add %d", n)
			}
			continue
		case !u.up:
			o.up, o.fresh, o.due, o.old = true, true, true, true
			next.broken()
			next.news(n) // its peers' next hooks find it
			add(true, next, "%d boots", n)
			continue
		}
		if hook, ok := m.hook(w, n); ok {
			list = append(list, hook...)
		}
		if u.step > 0 && w.kills > 0 {
			next := w
			next.kills--
			o := &next.units[n]
			if u.step > 1 && slices.ContainsFunc(w.units[:], func(p machine) bool { return p.there && !p.up }) {
				o.old = true // what it does and has not told is for the sake of a fault
			}
			o.step, o.due, o.decided, o.pin = 0, true, said{}, false
			add(false, next, "kill %d's hook", n)
		}
		if w.absents > 0 && u.agent {
			next := w
			next.absents--
			next.units[n].agent = false
			add(false, next, "%d's agent goes", n)
		}
		if !u.agent {
			next := w
			next.units[n].agent = true
			add(false, next, "%d's agent comes", n)
		}
		if w.deaths > 0 {
			next := w
			next.deaths--
			o := &next.units[n]
			o.up, o.again, o.step, o.decided, o.pin, o.stale, o.fixed = false, false, 0, said{}, false, false, false
			next.broken()
			add(true, next, "%d dies", n)
		}
		if w.moves > 0 && !u.leaves {
			next := w
			next.moves--
			next.broken()
			next.units[n].leaves, next.units[n].due = true, true
			next.news(n)
			for k := range next.units {
				next.units[k].loses = k != n && next.units[k].there && !next.units[k].leaves
			}
			add(true, next, "remove %d", n)
		}
		if u.leaves && u.step == 0 && !u.due {
			next := w
			next.units[n] = machine{runs: 255} // gone for good
			next.broken()
			add(true, next, "%d is gone", n)
		}
		if w.others > 0 && u.step == 0 {
			next := w
			next.others--
			next.units[n].later, next.units[n].due = !u.later, true
			next.news(n)
			add(false, next, "refresh %d, later %v", n, !u.later)
		}
		if u.runs > 0 && !u.takesPart() && w.holders() == 0 {
			next := w
			next.units[n].again = true
			next.broken()
			add(true, next, "%d takes part, nobody answers", n)
		}
	}
	return list
}

// hook is the next step of a unit's hook: it reads and decides, changes the machine in
// two steps, and publishes as it ends.
func (m *model) hook(w world, n int) ([]event, bool) {
	u := &w.units[n]
	if !u.up || u.step == 0 && (!u.agent || !u.due) {
		return nil, false
	}
	if u.step == 0 && !u.leaves && !u.loses && slices.ContainsFunc(w.units[:], func(p machine) bool { return p.leaves && p.up && p.agent && (p.due || p.step > 0) }) {
		return nil, false // a unit that leaves knows it before the others do
	}
	what, fault := "", false
	switch u.step {
	case 0:
		d := group.Decide(m.view(w, n))
		u.decided = said{serves: true, runs: m.number(d.Run), aside: m.text(string(d.Aside)), round: u.told.round}
		if d.Next != nil {
			u.decided.next, u.decided.round = m.text(d.Next.String()), uint8(d.Next.Round)
		}
		u.fixed = u.stale
		if slices.ContainsFunc(w.units[:], func(p machine) bool { return (p.old || p.stale) && p != *u }) {
			u.stale, u.fixed = true, false // what it reads of that one is from before
		}
		u.due, u.pin, u.step = u.loses, d.Pin, 1
		u.loses = false
		what = fmt.Sprintf("%d's hook begins: %s, runs %d, aside %q, next %q", n, d.State, u.decided.runs, d.Aside, m.texts[u.decided.next])
	case 1, 2:
		// Who is to be silent is so before its daemon changes, and speaks after that.
		if (u.decided.aside != 0) == (u.step == 1) {
			m.stand(u)
		} else {
			m.run(u)
		}
		what = fmt.Sprintf("%d's hook acts, step %d", n, u.step)
		u.step++
	case 3:
		if u.told != u.decided && !u.leaves {
			u.told = u.decided
			w.news(n)
		}
		u.step, u.decided, u.pin, u.old = 0, said{}, false, false
		if u.fixed {
			u.stale, u.fixed = false, false
		}
		what = fmt.Sprintf("%d's hook publishes", n)
	}
	var list []event
	for _, e := range m.elect(w) {
		list = append(list, event{what, fault, e})
	}
	return list, true
}

// stand has the agent keep a unit out, or let it in.
func (m *model) stand(u *machine) {
	if u.stands != u.decided.aside || u.fresh {
		u.stands, u.again, u.fresh = u.decided.aside, false, false
	}
}

// run has the daemon read what was decided. A new instance starts as BACKUP; with the
// addresses pinned the unit goes on to have them.
func (m *model) run(u *machine) {
	if u.runs > 0 && !m.parameters[u.runs].Understands(m.parameters[u.decided.runs]) && !u.pin {
		u.holds = false
	}
	u.runs = u.decided.runs
}

// explore visits every state of a scope, or the first limit.
func explore(t *testing.T, s scope, limit int) int {
	m := newModel(t, s.units)
	w := s.world
	w.wanted = 1
	for n := range s.units {
		if w.units[n].there {
			continue
		}
		u := machine{there: true, up: true, agent: true, due: s.fresh}
		if !s.fresh {
			u.runs, u.told = 1, said{serves: true, runs: 1}
		}
		w.units[n] = u
	}
	if w.moves > 0 && s.units == most {
		w.units[most-1] = machine{} // room for one that joins
	}
	for _, start := range m.elect(w) {
		m.visit(start, -1, "start")
	}
	for at := 0; at < len(m.list) && len(m.list) < limit; at++ {
		now := m.list[at].world
		for _, e := range m.events(now) {
			if !e.fault && !now.stale() && now.holders() > 0 && e.holders() == 0 {
				m.fail(int32(at), e, "a gap")
			}
			m.visit(e.world, int32(at), e.name)
		}
	}
	for at := range m.list {
		m.settle(at)
	}
	return len(m.list)
}

// visit notes a state and asserts what must hold in it.
func (m *model) visit(w world, from int32, what string) {
	deaf := m.deaf(w)
	w.parted = deaf && (w.parted || w.stale() || from >= 0 && m.list[from].stale())
	if _, known := m.seen[w]; known {
		return
	}
	m.seen[w] = int32(len(m.list))
	m.list = append(m.list, visited{w, from, what})
	if deaf && (!w.parted || w.quiet()) {
		m.fail(from, event{what, false, w}, "two take part and do not hear each other")
	}
}

// deaf tells that two units take part that do not hear each other.
func (m *model) deaf(w world) bool {
	for a, u := range w.units[:m.units] {
		for b := range w.units[:a] {
			if u.takesPart() && w.units[b].takesPart() && !m.hear(w, a, b) {
				return true
			}
		}
	}
	return false
}

// quiet tells that no hook runs or is to come.
func (w world) quiet() bool {
	return !slices.ContainsFunc(w.units[:], func(u machine) bool { return u.there && u.up && (u.due || u.step > 0) })
}

// settle asserts that the group comes to rest from a state once faults end: all run what
// is wanted, nobody stands aside, nothing is announced, one holds.
func (m *model) settle(at int) {
	w := m.list[at].world
	w.changes, w.deaths, w.kills, w.absents, w.moves, w.others = 0, 0, 0, 0, 0, 0
	for n := range w.units[:m.units] {
		if u := &w.units[n]; u.there {
			if !u.up {
				u.up, u.fresh = true, true
			}
			u.agent, u.due, u.later = true, true, false
			if u.leaves && u.step == 0 {
				*u = machine{runs: 255}
			}
		}
	}
	var path []world
	for range 400 {
		if m.settles[w] {
			break
		}
		path = append(path, w)
		next, moved := m.healed(w)
		if !moved {
			if why := m.unrest(w); why != "" {
				m.fail(m.list[at].from, event{m.list[at].event, false, m.list[at].world}, "never settles: %s\n%s", why, m.show(w))
			}
			m.settles[w] = true
			break
		}
		w = next
	}
	if !m.settles[w] {
		m.fail(m.list[at].from, event{m.list[at].event, false, m.list[at].world}, "does not come to rest\n%s", m.show(w))
	}
	for _, p := range path {
		m.settles[p] = true
	}
}

// healed lets what is due happen, one unit after the other.
func (m *model) healed(w world) (world, bool) {
	for n, u := range w.units[:m.units] {
		if !u.there {
			continue
		}
		if list, ok := m.hook(w, n); ok {
			return list[0].world, true
		}
		if u.leaves {
			w.units[n] = machine{runs: 255}
			return m.elect(w)[0], true
		}
		if u.runs > 0 && !u.takesPart() && w.holders() == 0 {
			w.units[n].again = true
			return m.elect(w)[0], true
		}
	}
	// update-status: a hook that nothing calls for.
	for n, u := range w.units[:m.units] {
		if !u.there {
			continue
		}
		before := w
		w.units[n].due = true
		for range 4 {
			list, _ := m.hook(w, n)
			w = list[0].world
		}
		if w != before {
			return w, true
		}
		w = before
	}
	return w, false
}

// unrest tells what is not as wanted; empty for nothing.
func (m *model) unrest(w world) string {
	units := 0
	for n, u := range w.units[:m.units] {
		if !u.there {
			continue
		}
		units++
		if u.runs != w.wanted || u.stands != 0 || u.told.next != 0 || u.told.aside != 0 || u.told.runs != w.wanted {
			return fmt.Sprintf("unit %d", n)
		}
	}
	if units > 0 && w.holders() != 1 {
		return fmt.Sprintf("%d holders", w.holders())
	}
	return ""
}

// fail ends the test with the events that led there.
func (m *model) fail(from int32, last event, format string, arguments ...any) {
	lines := []string{last.name, m.show(last.world)}
	for at := from; at >= 0; at = m.list[at].from {
		lines = append([]string{m.list[at].event, m.show(m.list[at].world)}, lines...)
	}
	m.t.Fatalf("%s, after %d states:\n%s", fmt.Sprintf(format, arguments...), len(m.list), strings.Join(lines, "\n"))
}

func (m *model) show(w world) string {
	text := ""
	for n, u := range w.units[:m.units] {
		if !u.there {
			continue
		}
		text += fmt.Sprintf("    %d: runs %d, takes part %v, holds %v, stands %q, again %v, fresh %v, up %v, agent %v, due %v, later %v, leaves %v, told %d next %q aside %q\n",
			n, u.runs, u.takesPart(), u.holds, m.texts[u.stands], u.again, u.fresh, u.up, u.agent, u.due, u.later, u.leaves, u.told.runs, m.texts[u.told.next], m.texts[u.told.aside])
	}
	return strings.TrimSuffix(text, "\n")
}

// TestEveryOrderOfEventsLeavesOneHolder visits the states of small scopes; MODEL=full
// visits larger ones (make model), of which each may take minutes.
func TestEveryOrderOfEventsLeavesOneHolder(t *testing.T) {
	limit := 300_000
	scopes := map[string]scope{
		"two units, two changes":              {units: 2, world: world{changes: 2}},
		"two units, a change, hooks killed":   {units: 2, world: world{changes: 1, kills: 2}},
		"two units, a change, an agent away":  {units: 2, world: world{changes: 1, absents: 1, kills: 1}},
		"two units, a change, a machine dies": {units: 2, world: world{changes: 1, deaths: 1}},
		"two units, a change, two deaths":     {units: 2, world: world{changes: 1, deaths: 2}},
		"two units, a change, one is removed": {units: 2, world: world{changes: 1, moves: 1}},
		"two units, a change, a revision":     {units: 2, world: world{changes: 1, others: 2}},
		"two units begin":                     {units: 2, fresh: true, world: world{kills: 1}},
		"three units, a change":               {units: 3, world: world{changes: 1}},
		"two units, a third joins":            {units: 3, world: world{changes: 1, moves: 1}},
	}
	if os.Getenv("MODEL") == "full" {
		limit = 2_000_000
		scopes = map[string]scope{
			"two units, two changes, everything once": {units: 2, world: world{changes: 2, kills: 1, absents: 1, deaths: 1, others: 1}},
			"two units, two deaths, two changes":      {units: 2, world: world{changes: 2, deaths: 2}},
			"two units, moves":                        {units: 2, world: world{changes: 2, moves: 2, kills: 1}},
			"three units, two changes":                {units: 3, world: world{changes: 2}},
			"three units, a death":                    {units: 3, world: world{changes: 1, deaths: 1}},
			"three units, a hook killed":              {units: 3, world: world{changes: 1, kills: 1, absents: 1}},
			"three units, a revision":                 {units: 3, world: world{changes: 1, others: 1}},
			"three units begin":                       {units: 3, fresh: true, world: world{}},
		}
	}
	total := 0
	for claim, s := range scopes {
		t.Run(claim, func(t *testing.T) {
			began := time.Now()
			states := explore(t, s, limit)
			total += states
			t.Logf("%d states in %v", states, time.Since(began).Round(time.Millisecond))
		})
	}
	t.Logf("%d states in all", total)
}
