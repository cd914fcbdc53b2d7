// Package group is the protocol by which the units of a group change what all of them
// must agree on, the parameters of a virtual router, with neither a gap nor a second
// holder. It is pure: Decide says what a unit does next, given what it runs, what it and
// the others told, and two facts of its machine. A hook decides afresh; nothing is
// remembered but what a unit runs and what it told.
//
// A change takes four hooks:
//
//  1. The holder announces the new parameters and goes on as before.
//  2. Every standby stands aside (its instance is in the FAULT state, silent) and says
//     for which announcement.
//  3. The holder changes over: it pins the virtual IPs to its loopback device, where the
//     machine answers for them just as well, runs the new parameters, takes the pins away
//     once its new instance is MASTER, and says what it runs.
//  4. The standbys change over and take part again.
//
// What a unit is, in each virtual router, and what makes it something else:
//
//	state       takes part     tells             until
//	Out         no             nothing           it has something to serve
//	Learning    no             peers or joins    it knows another; all know of it (Unaware)
//	Following   yes            what it runs      it holds; a holder announces what it wants too
//	Holding     yes            what it runs      it loses the virtual IPs, or wants other parameters
//	Announcing  yes, as before the announcement  every serving peer stands aside for it, or is lost
//	Changing    yes, pinned    new parameters    the hook ends
//	Aside       no             the announcement  its holder runs what it announced, or has withdrawn it
//	Returning   no             differs           what the others run is known, and run
//	Mixed       yes            Python's          no unit of the Python charm is left
//	Departing   if it holds    that it leaves    it is gone; it changes nothing any more
//
// A unit that stands aside goes by what the holder does, whatever its own options say
// meanwhile. When it finds the virtual IP dead (nobody answers at it, says he has it, or
// advertises) its agent takes part again without a hook, so a holder lost on the way
// costs a failover, not the address. Peers at whose addresses nothing answers are lost:
// nobody waits for them. Who stood aside for one does as it told to have done, else as
// those do that take part and know of it; where nobody does, the agents see to it. A unit that comes back from the dead among
// others with other parameters stands aside until it has changed over (Returning), and until
// all have that may have been let in by their agents, or it hears one hold that runs the same:
// beside that one nobody is let in.
//
// A peer that says what cannot be read, being of a later revision or garbled, serves
// with unknown parameters (Word.Unread): it is waited for and never followed, nobody
// believes itself alone beside it, and a unit that does not take part yet waits for a
// word that it can read.
//
// What a hook reads of a peer is as old as the last hook that was about that peer. A unit
// that takes part has told so before, and each of the others has told that it read that:
// none changes over without it.
//
// A unit that is being taken out of the group goes on to hold and else stands aside at once
// (Departing), and says so in its first hook that tells of it. Juju tells the others at once,
// who have it for a peer until they read that; who is left alone changes nothing in the hook
// that tells of it, nor while it hears that one hold.
//
// What remains: a hook acts on what it read when it began. When the holder is lost, or a
// lost unit comes back, between the two, there may be two holders until the hooks have
// run that the databags then published cause; where they are of two revisions, until they
// are of one. A unit that was cut off from the others,
// yet not switched off, holds beside them from when it is connected again to the end of
// its next hook. The model test walks all of it for small groups (model_test.go).
package group

import (
	"slices"

	"keepalived-charm/internal/juju"
	"keepalived-charm/internal/vrrp"
)

// State names what a unit is in a virtual router; see the package's table.
type State string

// The states.
const (
	Out         State = "out"
	Learning    State = "learning"
	Following   State = "following"
	Holding     State = "holding"
	Announcing  State = "announcing"
	Changing    State = "changing"
	StandsAside State = "aside"
	Returning   State = "returning"
	Mixed       State = "mixed"
	Departing   State = "departing"
)

// Peer is another unit of the group, as a virtual router concerns it.
type Peer struct {
	Unit juju.Unit
	Word
	// Lost tells that nothing answers at any address that it told.
	Lost bool
	// Knows is whom it knows.
	Knows Known
	// Elsewhere is what the peer told of the other virtual routers.
	Elsewhere []Word
}

// serves tells that a peer counts.
func (p Peer) serves() bool { return p.Serves && !p.Lost }

// takesPart tells that it takes part in an election, as far as it told.
func (p Peer) takesPart() bool { return p.serves() && p.Aside == TakesPart }

// View is all that a unit's decision about one virtual router depends on.
type View struct {
	Unit juju.Unit
	// Runs are the parameters that the machine's configuration says now, when it has the
	// virtual router (Serves).
	Runs   vrrp.Parameters
	Serves bool
	// Wanted are what the options ask for.
	Wanted vrrp.Parameters
	// Starts are what the unit begins with when nobody tells it what to run.
	Starts vrrp.Parameters
	// Told is what this unit told before, Stands what its agent keeps it out for now.
	Told   Word
	Stands Aside
	Peers  []Peer
	// Grouped tells that there is a peer relation, Departs that it is ending for this unit,
	// Loses that another unit departs in this hook.
	Grouped, Departs, Loses bool
	// Hears tells that a holder is heard which is no peer any more: a unit that leaves holds
	// until it stops. Heeds tells that a peer is heard to hold which told that it runs what
	// this unit runs: meanwhile nobody's agent takes part on its own.
	Hears, Heeds bool
	// Planned is how many units the application has, 0 when it does not matter; Python
	// tells that some may be units of the Python charm.
	Planned int
	Python  bool
	// Holds tells that the machine has the virtual router's addresses, Reign since when,
	// in seconds since 1970.
	Holds bool
	Reign int64
	// Fresh tells that no hook has looked at the configuration since the machine's boot.
	Fresh bool
	// Taken tells that the virtual router ID wanted is still another virtual router's.
	Taken bool
	// Ends tells that the virtual router is to end: nothing changes in it any more.
	Ends bool
	// Ignored tells that some unit does not know of this one (Unaware).
	Ignored bool
	// Awaited tells that some peer serves and does not have this virtual router yet.
	Awaited bool
	// HoldsAll tells that the machine has the addresses of all virtual routers.
	HoldsAll bool
	// Accepts tells parameters that this unit may run on a peer's word: nothing that a
	// peer says reaches the configuration unless the options could have said it.
	Accepts func(vrrp.Parameters) bool
}

// Decision is what a unit does about one virtual router.
type Decision struct {
	State State
	// Was and Run are what the configuration says before and after the hook.
	Was, Run vrrp.Parameters
	// Next is the unit's announcement; nil for none. Round is that of the last announcement
	// which it made or read.
	Next  *Announcement
	Round int
	// Aside keeps it out of the election.
	Aside Aside
	// Holds tells that the unit holds the virtual IPs now, Pin that the change happens
	// under held addresses.
	Holds, Pin bool
	// Moving tells that Wanted differs from Run; of the Others, Ready are prepared.
	Moving        bool
	Wanted        vrrp.Parameters
	Ready, Others int
	// Soon tells that the unit has to look again soon: nobody tells of what it waits for.
	Soon bool
	// Waits are the units that this one waits for, as far as it knows.
	Waits []juju.Unit
	// Upgraded and Planned count the group's units while some may still run the Python
	// charm; zero otherwise.
	Upgraded, Planned int
}

// stays tells that a change that the unit would make alone waits for one that leaves: it
// may take part still.
func (v View) stays() bool { return v.Loses || v.Hears && !v.Holds }

// Mixed tells that the unit speaks as the Python charm does, because units of it
// are left or were a moment ago.
func (d Decision) Mixed() bool { return !d.Run.Constant() }

// serving returns the peers that serve, without the lost ones.
func (v View) serving() []Peer {
	return slices.DeleteFunc(slices.Clone(v.Peers), func(p Peer) bool { return !p.serves() })
}

// alone tells that no other unit of the group serves, not even a lost one.
func (v View) alone() bool {
	return !slices.ContainsFunc(v.Peers, func(p Peer) bool { return p.Serves })
}

// joined tells that some peer takes part in the election with these parameters.
func (v View) joined(p vrrp.Parameters) bool {
	return slices.ContainsFunc(v.Peers, func(peer Peer) bool { return peer.takesPart() && peer.Runs == p })
}

// joinedSince tells that some peer takes part with an announcement's parameters, and told
// so when it knew of that. What it told before may be from before somebody changed over.
func (v View) joinedSince(a Announcement) bool {
	return slices.ContainsFunc(v.Peers, func(p Peer) bool { return p.takesPart() && p.Runs == a.Parameters && p.Round >= a.Round })
}

// settled tells that some peer takes part with these parameters, and told so when it had
// read an announcement or could read it no more: whatever became of that, it is not to come.
func (v View) settled(a Announcement, runs vrrp.Parameters) bool {
	return slices.ContainsFunc(v.Peers, func(p Peer) bool {
		_, knows := p.Knows[a.Holder.Number]
		return p.takesPart() && p.Runs == runs && (p.Round >= a.Round || !knows)
	})
}

// unread tells that some peer says what cannot be read.
func (v View) unread() bool { return len(v.unreadUnits()) > 0 }

// unreadUnits are the peers that say what cannot be read.
func (v View) unreadUnits() []juju.Unit {
	var units []juju.Unit
	for _, p := range v.serving() {
		if p.Unread() {
			units = append(units, p.Unit)
		}
	}
	return units
}

// silent tells that the unit takes no part yet, as far as it told or is kept out.
func (v View) silent() bool {
	return v.Told.Aside != TakesPart || v.Stands != TakesPart || !v.Told.Serves || v.Fresh
}

// announced tells that some peer is about to change over.
func (v View) announced() bool {
	return slices.ContainsFunc(v.Peers, func(p Peer) bool { return p.serves() && p.Announces })
}

// deaf tells that some peer, those that stand aside among them or not, runs what this
// unit does not understand.
func (v View) deaf(run vrrp.Parameters, aside bool) bool {
	return slices.ContainsFunc(v.Peers, func(p Peer) bool {
		return p.serves() && !p.Unread() && (aside || p.Aside == TakesPart) && !run.Understands(p.Runs)
	})
}
