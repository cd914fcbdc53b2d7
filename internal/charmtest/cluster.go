package charmtest

import (
	"fmt"
	"iter"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"keepalived-charm/internal/endpoint"
	"keepalived-charm/internal/juju"
)

// Cluster is one application of several units, each on a machine of its own: they
// see what the others have published, and their daemons elect a holder. Hooks run
// in steps, so those of different units can interleave in any way. Time passes
// only when Pass is called; an election takes none.
//
// A unit sees as much of the others as Juju serves it: its list of peers changes in its
// hooks of them, and it reads a peer's databag anew after that peer's joined and changed
// hooks and once its agent has started anew (Juju 3.5.4,
// worker/uniter/runner/context/cache.go).
type Cluster struct {
	// Nodes are the units, by number. One that has left is not Member any more.
	Nodes []*Node
	// Options are the application's.
	Options map[string]any
	// Filtered tells that the network lets no multicast through.
	Filtered bool
	// Gaps counts how often nobody answered at the virtual IPs any more, be it for
	// as long as an election takes.
	Gaps int
	// GapsAt counts them for each virtual IP.
	GapsAt map[netip.Addr]int

	t   testing.TB
	now float64 // seconds since 1970
	cut map[[2]int]bool
	// served are the virtual IPs at which somebody answers, heard is when that was last
	// so.
	served map[netip.Addr]bool
	heard  map[netip.Addr]float64
}

// Node is one unit with its machine.
type Node struct {
	// State is what the hooks have made of the unit, the running one included.
	*State
	// Member tells that the unit is in the peer relation.
	Member bool
	// Up tells that the machine has power, Agent that its unit agent runs hooks.
	Up, Agent bool
	// Leaving tells that the unit is being removed, which its own hooks may tell late.
	Leaving bool
	// Sick tells that the check of the service fails.
	Sick bool
	// Pending are the hooks to come; the first one may be running. The unit that a hook of
	// the peer relation is about stands behind its name.
	Pending []string

	number int
	bag    juju.Databag // as the others see it
	// seen is what the agent remembers of each unit that it has in its list of peers, by
	// number; nil for one that it reads next time. away tells that it has stopped since.
	seen   map[int]*words
	away   bool
	hook   *running
	voices []*voice
	// again is the start of the health checker with which an instance takes part again
	// although it was told to stand aside; unconfirmed the one that a boot made.
	again       map[string]int
	unconfirmed int
	// accent is how another revision of the charm says what this one publishes; nil for
	// this revision.
	accent func(juju.Databag) juju.Databag
}

// words are a databag as it was read, with how they were said.
type words struct {
	bag    juju.Databag
	accent func(juju.Databag) juju.Databag
}

// running is a hook on its way.
type running struct {
	resume func() (struct{}, bool)
	stop   func()
	err    error
}

// peers is the peer relation.
const peers = juju.RelationID("cluster:1")

// NewCluster returns an application without units.
func NewCluster(t testing.TB, options map[string]any) *Cluster {
	c := &Cluster{t: t, Options: options, cut: map[[2]int]bool{}, heard: map[netip.Addr]float64{}, GapsAt: map[netip.Addr]int{}, now: 1e9}
	t.Cleanup(func() {
		for _, n := range c.Nodes {
			n.die()
		}
	})
	return c
}

// Clone returns a copy that shares nothing, for another test. No hook may be running.
func (c *Cluster) Clone(t testing.TB) *Cluster {
	k := NewCluster(t, maps.Clone(c.Options))
	k.Filtered, k.Gaps, k.GapsAt, k.now = c.Filtered, c.Gaps, maps.Clone(c.GapsAt), c.now
	k.cut, k.served, k.heard = maps.Clone(c.cut), maps.Clone(c.served), maps.Clone(c.heard)
	for _, n := range c.Nodes {
		if n.hook != nil {
			t.Fatalf("a running hook cannot be cloned:\n%s", c)
		}
		node, state := *n, n.State.Clone()
		node.State, node.Pending, node.bag, node.again, node.seen = &state, slices.Clone(n.Pending), maps.Clone(n.bag), maps.Clone(n.again), maps.Clone(n.seen)
		node.voices = nil
		for _, v := range n.voices {
			voice := *v
			voice.node = &node
			node.voices = append(node.voices, &voice)
		}
		k.Nodes = append(k.Nodes, &node)
	}
	return k
}

// Add adds a unit, with the hooks that Juju runs in a new one.
func (c *Cluster) Add() *Node {
	number := len(c.Nodes)
	s := NewState(number)
	n := &Node{State: &s, number: number, Member: true, Up: true, Agent: true, again: map[string]int{}, unconfirmed: -1, seen: map[int]*words{},
		Pending: []string{"install", "config-changed", "start"}}
	n.bag = maps.Clone(s.Juju.Own(peers))
	for _, other := range c.Nodes {
		if other.Member && !other.Leaving {
			n.Await(about(joined, other))
			other.Await(about(joined, n))
		}
	}
	c.Nodes = append(c.Nodes, n)
	return n
}

// Remove takes a unit away at once, its machine included.
func (c *Cluster) Remove(n *Node) {
	c.PowerOff(n)
	n.Member = false
	c.departs(n)
}

// Leave removes a unit as juju remove-unit does: the others are told at once, its own hooks
// come when they can.
func (c *Cluster) Leave(n *Node) {
	c.departs(n)
	for _, other := range c.Nodes {
		n.drop(about(joined, other), about(changed, other))
		if _, listed := n.seen[other.number]; listed {
			n.Pending = append(n.Pending, about(departed, other))
		}
	}
	n.Pending = append(n.Pending, "cluster-relation-broken", "stop")
	n.Leaving = true
}

// departs takes a unit off the others' lists.
func (c *Cluster) departs(n *Node) {
	for _, other := range c.Nodes {
		if _, listed := other.seen[n.number]; listed && other != n {
			other.Await(about(departed, n))
		}
		other.drop(about(joined, n), about(changed, n))
	}
}

// drop takes hooks back that have not begun.
func (n *Node) drop(hooks ...string) {
	first := 0
	if n.hook != nil {
		first = 1
	}
	for i := len(n.Pending) - 1; i >= first; i-- {
		if slices.Contains(hooks, n.Pending[i]) {
			n.Pending = slices.Delete(n.Pending, i, i+1)
		}
	}
}

// The hooks of the peer relation.
const (
	joined   = "cluster-relation-joined"
	changed  = "cluster-relation-changed"
	departed = "cluster-relation-departed"
)

// about is the hook of that name which is about a unit.
func about(hook string, n *Node) string { return hook + " " + n.Juju.Unit.String() }

// Speak has a unit say what it publishes as another revision does; nil for this one.
func (c *Cluster) Speak(n *Node, accent func(juju.Databag) juju.Databag) {
	n.accent = accent
	c.news(n)
}

// Set changes options of the application.
func (c *Cluster) Set(options map[string]any) {
	maps.Copy(c.Options, options)
	for _, n := range c.Nodes {
		n.Await("config-changed")
	}
}

// Await adds a hook unless it is pending already.
func (n *Node) Await(hook string) {
	if n.Member && !n.Leaving && !slices.Contains(n.Pending, hook) || n.hook != nil && n.Pending[0] == hook && !slices.Contains(n.Pending[1:], hook) {
		n.Pending = append(n.Pending, hook)
	}
}

// news tells the others that a unit has published something.
func (c *Cluster) news(of *Node) {
	for _, n := range c.Nodes {
		if _, listed := n.seen[of.number]; listed {
			n.Await(about(changed, of))
		}
	}
}

// forget is what an agent does that starts.
func (n *Node) forget() {
	for k := range n.seen {
		n.seen[k] = nil
	}
}

// meet brings the unit's list of peers to where Juju has it as a hook begins.
func (c *Cluster) meet(n *Node, hook string) (departing juju.Unit) {
	name, unit, _ := strings.Cut(hook, " ")
	for _, other := range c.Nodes {
		switch {
		case other.Juju.Unit.String() != unit:
		case name == departed:
			delete(n.seen, other.number)
			if departing = other.Juju.Unit; n.Leaving {
				departing = n.Juju.Unit
			}
		case other.Leaving || !other.Member:
			// It is on nobody's list any more.
		default:
			n.seen[other.number] = nil
		}
	}
	for k, read := range n.seen {
		if read == nil {
			n.seen[k] = &words{maps.Clone(c.Nodes[k].bag), c.Nodes[k].accent}
		}
	}
	return departing
}

// Running tells that a hook of the unit has begun.
func (n *Node) Running() bool { return n.hook != nil }

// Busy tells that a unit can run a hook.
func (n *Node) Busy() bool { return n.Member && n.Up && n.Agent && len(n.Pending) > 0 }

// Step brings a unit's hook one step further, or begins the next. It returns
// whether the hook came to its end.
func (c *Cluster) Step(n *Node) (ended bool) {
	if n.hook == nil {
		c.begin(n)
	}
	if _, goesOn := n.hook.resume(); goesOn {
		c.elect()
		return false
	}
	err := n.hook.err
	n.hook = nil
	if err != nil {
		c.t.Fatalf("hook %s of unit %d ended with a fault: %v\n%s", n.Pending[0], n.number, err, c)
	}
	ended = n.Leaving && n.Pending[0] == "stop"
	n.Pending = n.Pending[1:]
	if bag := n.Juju.Own(peers); !maps.Equal(bag, n.bag) {
		n.bag = maps.Clone(bag)
		if !n.Leaving { // whose news Juju tells nobody
			c.news(n)
		}
	}
	if ended {
		n.Member, n.Pending = false, nil
	}
	c.elect()
	return true
}

// begin starts the first pending hook: what it reads, it reads now.
func (c *Cluster) begin(n *Node) {
	in := n.State.Clone()
	in.Juju.Options = maps.Clone(c.Options)
	if n.away {
		n.forget()
		n.away = false
	}
	departing := c.meet(n, n.Pending[0])
	bags := map[juju.Unit]juju.Databag{in.Juju.Unit: n.bag}
	in.Juju.Left = map[juju.Unit]juju.Databag{}
	in.Juju.Planned = 0
	in.Host.Silent = nil
	in.Host.Network = c.network(n)
	for _, other := range c.Nodes {
		if other.Member {
			in.Juju.Planned++
		}
		if other != n && (!other.Up || c.cut[pair(n, other)]) {
			in.Host.Silent = append(in.Host.Silent, other.address())
		}
		read, listed := n.seen[other.number]
		if !listed {
			in.Juju.Left[other.Juju.Unit] = other.bag
			continue
		}
		bags[other.Juju.Unit] = read.bag
		if read.accent != nil && n.accent == nil {
			bags[other.Juju.Unit] = read.accent(maps.Clone(read.bag))
		}
	}
	in.Juju.Relations[endpoint.Cluster] = map[juju.RelationID]map[juju.Unit]juju.Databag{peers: bags}
	h := &running{}
	name, _, _ := strings.Cut(n.Pending[0], " ")
	hook := Hook{Name: name, Departing: departing, Relation: n.detach(&in, name)}
	h.resume, h.stop = iter.Pull(func(yield func(struct{}) bool) {
		hook.Between = func(s *State) bool {
			n.State = s
			return yield(struct{}{})
		}
		out := RunHook(c.t, hook, in)
		n.State, h.err = &out.State, out.Err
	})
	n.hook = h
}

// die ends the running hook where it is; it is run again.
func (n *Node) die() {
	if n.hook != nil {
		n.hook.stop()
		n.hook = nil
	}
}

// KillHook ends a unit's hook where it is; Juju runs it again.
func (c *Cluster) KillHook(n *Node) { n.die() }

// PowerOff cuts a machine's power.
func (c *Cluster) PowerOff(n *Node) {
	n.die()
	n.Up = false
	n.Host.powerOff()
	c.elect()
}

// PowerOn boots a machine with what is on its disk.
func (c *Cluster) PowerOn(n *Node) {
	n.Up = true
	n.Host.boot()
	n.unconfirmed = n.checker().Starts
	n.Pending = append([]string{"start", "config-changed"}, n.Pending...)
	n.away = true
	c.elect()
}

// Partition keeps VRRP and ARP of two units from each other, or ends that.
func (c *Cluster) Partition(a, b *Node, on bool) {
	c.cut[pair(a, b)] = on
	c.elect()
}

func pair(a, b *Node) [2]int { return [2]int{min(a.number, b.number), max(a.number, b.number)} }

func (n *Node) address() netip.Addr { return n.Host.Interfaces[1].Addresses[0].Addr() }

func (n *Node) checker() Checker { return n.Host.Checkers[n.Juju.Unit.Application] }

// String prints every unit in a few lines.
func (c *Cluster) String() string {
	text := ""
	for _, n := range c.Nodes {
		hook := ""
		if n.hook != nil {
			hook = ", running"
		}
		text += fmt.Sprintf("unit %d: member %v, up %v, agent %v, sick %v, pinned %v, pending %v%s, status %q\n",
			n.number, n.Member, n.Up, n.Agent, n.Sick, n.Host.Pinned, n.Pending, hook, n.Juju.Status.Message)
		for _, v := range n.voices {
			text += fmt.Sprintf("  %s: holds %v, silent %v, priority %d, runs %v, %v\n", v.name, v.master, v.silent, v.priority, v.Parameters, v.addresses)
		}
		text += fmt.Sprintf("  bag %v\n", n.bag)
	}
	return text
}

// listed splits an option that lists addresses.
func listed(option any) []string {
	text, _ := option.(string)
	return strings.FieldsFunc(text, func(r rune) bool { return r == ',' || r == ' ' })
}
