package group

import (
	"cmp"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"keepalived-charm/internal/juju"
	"keepalived-charm/internal/vrrp"
)

// Protocol is the number of the wire format: the meaning of the keys that Word reads and
// writes. A revision that has a later one writes this one for as long as some unit of
// the group tells this one, and marks what it can read beside it under a key of its own.
// Where a unit is and who it is, package endpoint reads of any protocol.
const Protocol = 1

// Word is what a unit tells its peers of its part in one virtual router.
type Word struct {
	// Serves tells that it has an instance of the virtual router.
	Serves bool
	// Runs are the parameters in use; zero while the unit serves nothing, and for words
	// that cannot be read.
	Runs vrrp.Parameters
	// Next announces, while this unit holds the virtual IPs, the parameters it is about
	// to change to; Announces is there also for one that cannot be read.
	Next      *Announcement
	Announces bool
	// Round is that of the last announcement which this unit made or read, withdrawn or not.
	Round int
	// Aside is what this unit stands aside for.
	Aside Aside
	// VirtualIPs are the router's; told where there is a router for each, or where they are what
	// principal units ask for.
	VirtualIPs []netip.Addr
}

// Unread tells that the unit serves with parameters that this revision cannot read, such
// as those of a later one. It is waited for and never followed.
func (w Word) Unread() bool { return w.Serves && w.Runs == vrrp.Parameters{} }

// Hidden returns what can be known of a word that cannot be read.
func (w Word) Hidden() Word {
	w.Runs, w.Next, w.VirtualIPs = vrrp.Parameters{}, nil, nil
	if w.Aside != TakesPart {
		w.Aside = unread
	}
	return w
}

// Aside is why a unit is kept out of an election: for an announcement, or for one of the
// reasons below. One that cannot be read keeps its unit out as well. It is comparable.
type Aside struct {
	reason       string
	announcement Announcement
}

// TakesPart is no reason: the unit is not kept out.
var TakesPart Aside

// The reasons to stand aside but an announcement, as they are on the wire.
var (
	Unknown = Aside{reason: "peers"}   // until this unit knows all others
	Joins   = Aside{reason: "joins"}   // until the others know of this unit
	Unheard = Aside{reason: "unheard"} // until every unit sends its advertisements here (unicast)
	Agreed  = Aside{reason: "differs"} // until all units run the same
	Leaving = Aside{reason: "leaving"} // while this unit leaves
	Paused  = Aside{reason: "paused"}  // by an operator
	unread  = Aside{reason: "unread"}  // for what cannot be read
)

// announces is the reason of who stands aside for an announcement.
const announces = "announcement"

// String is the reason in words, for people.
func (a Aside) String() string {
	words, ok := map[Aside]string{
		Unknown: "until this unit knows all others",
		Joins:   "until the others know of this unit",
		Unheard: "until every unit sends its advertisements here",
		Agreed:  "until all units run the same",
		Leaving: "while this unit leaves",
		Paused:  "paused by an operator",
		unread:  "for a reason that this revision does not know",
	}[a]
	if !ok {
		return a.Text()
	}
	return words
}

// Text is the reason as ParseAside reads it; empty for TakesPart.
func (a Aside) Text() string {
	if a.reason == announces {
		return a.announcement.String()
	}
	return a.reason
}

// ParseAside reads a reason, as Text wrote it or as a later revision might.
func ParseAside(s string) Aside {
	switch a := (Aside{reason: s}); a {
	case TakesPart, Unknown, Joins, Unheard, Agreed, Leaving, Paused:
		return a
	}
	if a := ParseAnnouncement(s); a != nil {
		return a.Aside()
	}
	return unread
}

// Announcement returns the announcement that a unit stands aside for; nil for another
// reason.
func (a Aside) Announcement() *Announcement {
	if a.reason != announces {
		return nil
	}
	return &a.announcement
}

// Announcement says that the holder is about to change the parameters that all
// units share. Each is unlike all others, so an answer to one is none to another.
type Announcement struct {
	Parameters vrrp.Parameters
	Holder     juju.Unit
	// Round is higher than that of every announcement which the holder knew, 1 to
	// mostRounds.
	Round int
	// Since is when the holder's reign began, in seconds since 1970.
	Since int64
}

// mostRounds bounds what a peer may say. Beyond believedRounds, where nobody gets unless a peer
// says so, a unit goes by its own count: the next announcement is unlike the last one still.
const (
	mostRounds     = 1 << 31
	believedRounds = 1 << 30
)

// After tells whether an announcement counts more than another of the same
// parameters; all units must see it alike. One of a reign before may have the same round:
// the holder may not have read it when it made its own.
func (a Announcement) After(b Announcement) bool {
	return cmp.Or(cmp.Compare(a.Round, b.Round), cmp.Compare(a.Since, b.Since), cmp.Compare(a.Holder.Number, b.Holder.Number)) > 0
}

// Aside is what a unit that stands aside for the announcement says.
func (a Announcement) Aside() Aside { return Aside{announces, a} }

// String returns the announcement as text that ParseAnnouncement reads.
func (a Announcement) String() string {
	return strings.Join([]string{a.Holder.String(), strconv.Itoa(a.Round), strconv.FormatInt(a.Since, 10), a.Parameters.String()}, " ")
}

// ParseAnnouncement reads what String wrote; nil for anything else.
func ParseAnnouncement(s string) *Announcement {
	holder, rest, _ := strings.Cut(s, " ")
	round, rest, _ := strings.Cut(rest, " ")
	since, parameters, _ := strings.Cut(rest, " ")
	var a Announcement
	var err error
	var ok bool
	if a.Holder, err = juju.ParseUnit(holder); err != nil {
		return nil
	}
	if a.Round, err = strconv.Atoi(round); err != nil || a.Round > mostRounds {
		return nil
	}
	if a.Since, err = strconv.ParseInt(since, 10, 64); err != nil {
		return nil
	}
	if a.Parameters, ok = vrrp.ParseParameters(parameters); !ok {
		return nil
	}
	if a.String() != s {
		return nil
	}
	return &a
}

// The keys of a databag, each of virtual router 0; those of router n end in "-n". A unit
// writes its own, its peers read them.
const (
	protocolKey = "protocol" // Protocol, of the unit as a whole
	runsKey     = "vrrp"     // Word.Runs
	nextKey     = "next"     // Word.Next
	roundKey    = "round"    // Word.Round
	asideKey    = "aside"    // Word.Aside
	vipsKey     = "vips"     // Word.VirtualIPs
)

// mostVirtualIPs bounds what is read of a unit's virtual IPs: twice what options take.
const mostVirtualIPs = 1000

// lastRouter is the highest number of a virtual router: virtual router IDs end at 255.
const lastRouter = 254

// numbered is the number that a key of a virtual router but the first ends with, in 1-999;
// 0 for any other key.
func numbered(k string) int {
	name, digits, _ := strings.Cut(k, "-")
	number, err := strconv.Atoi(digits)
	if err != nil || number < 1 || number > 999 || k != key(name, number) || !slices.Contains([]string{"vrrp", "next", "round", "aside", "vips"}, name) {
		return 0
	}
	return number
}

// key is what a value of virtual router number is called.
func key(name string, number int) string {
	if number == 0 {
		return name
	}
	return name + "-" + strconv.Itoa(number)
}

// Routers returns what a unit told of each virtual router, by number; 0 is always there.
func Routers(bag juju.Databag) map[int]Word {
	words := map[int]Word{0: read(bag, 0)}
	for k := range bag {
		if number := numbered(k); number > 0 && number <= lastRouter {
			words[number] = read(bag, number)
		}
	}
	return words
}

// Former returns the keys of virtual routers that are in have and no longer wanted.
func Former(want, have juju.Databag) juju.Databag {
	gone := juju.Databag{}
	for k := range have {
		if _, wanted := want[k]; !wanted && numbered(k) > 0 {
			gone[k] = ""
		}
	}
	return gone
}

// Write adds to a databag what a unit tells of virtual router number. Empty values
// delete.
func (w Word) Write(bag juju.Databag, number int) {
	set := func(name, value string) { bag[key(name, number)] = value }
	bag[protocolKey] = strconv.Itoa(Protocol)
	set(runsKey, "")
	if w.Serves {
		set(runsKey, w.Runs.String())
	}
	set(nextKey, "")
	if w.Next != nil {
		set(nextKey, w.Next.String())
	}
	set(roundKey, "")
	if w.Round > 0 {
		set(roundKey, strconv.Itoa(w.Round))
	}
	set(asideKey, w.Aside.Text())
	var vips []string
	for _, a := range w.VirtualIPs {
		vips = append(vips, a.String())
	}
	set(vipsKey, strings.Join(vips, ","))
}

// read reads what a unit told of virtual router number. Words in another protocol say
// that it serves, announces or stands aside, and not what.
func read(bag juju.Databag, number int) Word {
	text := func(name string) string { return bag[key(name, number)] }
	w := Word{Serves: text(runsKey) != "", Announces: text(nextKey) != "", Aside: ParseAside(text(asideKey))}
	if n, err := strconv.Atoi(text(roundKey)); err == nil && n > 0 && n <= mostRounds {
		w.Round = n
	}
	if bag[protocolKey] != strconv.Itoa(Protocol) {
		return w
	}
	w.Next = ParseAnnouncement(text(nextKey))
	w.Runs, _ = vrrp.ParseParameters(text(runsKey))
	for word := range strings.SplitSeq(text(vipsKey), ",") {
		if len(w.VirtualIPs) == mostVirtualIPs {
			break
		}
		if a, err := netip.ParseAddr(word); err == nil && a.Zone() == "" && !slices.Contains(w.VirtualIPs, a) {
			w.VirtualIPs = append(w.VirtualIPs, a)
		}
	}
	return w
}
