package show

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"keepalived-charm/internal/conflict"
	"keepalived-charm/internal/decide"
	"keepalived-charm/internal/facts"
	"keepalived-charm/internal/juju"
	"keepalived-charm/internal/status"
)

// NetworkReport is what a look at the network tells an operator.
type NetworkReport struct {
	// Conflicts are what is wrong, in words; Notes what may be meant so.
	Conflicts []string `json:"conflicts"`
	Notes     []string `json:"notes"`
	Interface string   `json:"interface"`
	Listened  string   `json:"listened"`
	RouterID  int      `json:"router-id"`
	// FreeRouterID is one that nobody was heard to use, 0 when all are in use.
	FreeRouterID int           `json:"free-router-id"`
	Heard        []HeardRouter `json:"virtual-routers"`
	Addresses    []AddressUse  `json:"virtual-ips"`
	// Faults say what could not be looked at.
	Faults []string `json:"faults"`
}

// HeardRouter is one sender of advertisements.
type HeardRouter struct {
	RouterID  int      `json:"router-id"`
	Version   int      `json:"version"`
	Priority  int      `json:"priority"`
	Interval  string   `json:"interval"`
	Addresses []string `json:"addresses"`
	Sender    string   `json:"sender"`
	MAC       string   `json:"mac"`
	Interface string   `json:"interface"`
	// Unit is empty for a stranger.
	Unit string `json:"unit"`
	// Dropped tells that this machine's packet filter drops them.
	Dropped bool `json:"dropped"`
}

// String is one line for a person.
func (h HeardRouter) String() string {
	from := conflict.Host{MAC: h.MAC}
	from.Address, _ = netip.ParseAddr(h.Sender)
	s := fmt.Sprintf("%d: version %d, priority %d, every %s, from %s", h.RouterID, h.Version, h.Priority, h.Interval, from)
	if h.Unit != "" {
		s += ", " + h.Unit
	}
	if h.Dropped {
		s += ", dropped by this machine's packet filter"
	}
	return s
}

// AddressUse is who has a virtual IP.
type AddressUse struct {
	Address   string `json:"address"`
	Interface string `json:"interface"`
	// Subnet is the one that the interface shares with it; empty for none.
	Subnet string `json:"subnet"`
	// Here tells that this machine has it.
	Here bool `json:"here"`
	// Answered names who else answered: a unit, or a stranger's addresses.
	Answered []string `json:"answered-by"`
}

// String is one line for a person.
func (a AddressUse) String() string {
	who := slices.Clone(a.Answered)
	if a.Here {
		who = append([]string{"this unit"}, who...)
	}
	if len(who) == 0 {
		who = []string{"nobody"}
	}
	verb := "has"
	if len(who) > 1 {
		verb = "have"
	}
	s := fmt.Sprintf("%s on %s: %s %s it", a.Address, a.Interface, strings.Join(who, " and "), verb)
	if a.Subnet == "" {
		return s + ", no subnet there"
	}
	return s + ", subnet " + a.Subnet
}

// Report puts what AskAll asked for in words.
func Report(o facts.Observed) (NetworkReport, error) {
	look := o.Look
	o.Look = nil
	d, err := decide.Decide(o)
	if err != nil {
		return NetworkReport{}, err
	}
	if d.Mode != decide.Serving || look == nil {
		return NetworkReport{}, errors.New("there is no virtual IP to look for")
	}
	o.Look = look
	v := d.View(o)
	d.Free = d.FreeRouter(o, v)
	r := NetworkReport{Interface: d.Speaks, Listened: look.Listened.String(), RouterID: int(v.Runs.VirtualRouterID),
		FreeRouterID: int(d.Free), Conflicts: []string{}, Notes: []string{}, Faults: look.Faults}
	for _, f := range conflict.Judge(v, *look) {
		text := describe(d, f, v)
		switch f.Kind {
		case conflict.RouterMaybeTaken, conflict.AddressMaybeTaken:
			r.Notes = append(r.Notes, text)
		default:
			r.Conflicts = append(r.Conflicts, text)
		}
	}
	if why := Unmoved(d, o.Machine); why != "" {
		r.Conflicts = append(r.Conflicts, why)
	}
	for _, text := range besides(d, o.Machine) {
		r.Conflicts = append(r.Conflicts, strings.TrimPrefix(text, "; "))
	}
	misplaced := misplaced(d, o.Machine)
	if misplaced != "" {
		r.Conflicts = append(r.Conflicts, strings.TrimPrefix(misplaced, "; "))
	}
	r.Notes = append(r.Notes, dropped(d, o.Machine)...)
	for _, p := range look.Proxies {
		r.Notes = append(r.Notes, p.Host.String()+" answers on "+p.Interface+" for addresses that nobody has, as a proxy does: who has a virtual IP is not told by it")
	}
	for _, c := range look.Crowds {
		at := "answer for " + c.Address.String()
		if !c.Address.IsValid() {
			at = fmt.Sprintf("advertise virtual router ID %d", c.RouterID)
		}
		r.Notes = append(r.Notes, fmt.Sprintf("more than %d hosts %s on %s, the others are not listed: somebody makes them up, or the segment has a loop", conflict.Most, at, c.Interface))
	}
	r.Heard = heard(v, *look)
	for _, p := range d.Placed() {
		use := use(d, o, v, p.Addr(), p.Interface)
		if use.Subnet == "" && misplaced == "" {
			r.Notes = append(r.Notes, "no interface has the subnet of "+use.Address+": it is put on "+use.Interface+
				", where only routers with a route to it send it")
		}
		r.Addresses = append(r.Addresses, use)
	}
	return r, nil
}

// dropped tells what keepalived has dropped.
func dropped(d decide.Desired, m facts.Machine) []string {
	var notes []string
	for _, r := range d.Routers {
		if state, _ := d.State(m, r); state.AddressErrors > 0 {
			notes = append(notes, fmt.Sprintf("since it started, keepalived dropped %d advertisements of virtual router ID %d "+
				"that carried other addresses than this application's", state.AddressErrors, state.VirtualRouterID))
		}
	}
	return notes
}

// heard lists all senders of advertisements.
func heard(v conflict.View, look conflict.Look) []HeardRouter {
	list := []HeardRouter{}
	for _, h := range look.Heard {
		one := HeardRouter{RouterID: int(h.VirtualRouterID), Version: h.Version, Priority: int(h.Priority), Interval: h.Interval.String(),
			Sender: h.Sender.Address.String(), MAC: h.Sender.MAC, Interface: h.Interface, Unit: v.Sender(look, h), Dropped: !h.Delivered}
		for _, a := range h.Addresses {
			one.Addresses = append(one.Addresses, a.String())
		}
		list = append(list, one)
	}
	return list
}

// describe puts any finding in words.
func describe(d decide.Desired, f conflict.Finding, v conflict.View) string {
	c := map[conflict.Kind]status.Condition{
		conflict.RouterTaken: status.RouterTaken, conflict.RouterMaybeTaken: status.RouterMaybeTaken,
		conflict.AddressTaken: status.AddressTaken, conflict.AddressMaybeTaken: status.AddressMaybeTaken,
		conflict.HolderUnheard: status.HolderUnheard, conflict.TwoHolders: status.AlsoHolds,
	}[f.Kind]
	switch {
	case f.Kind == conflict.HolderUnheard && f.Path == conflict.Dropped:
		c = status.HolderDropped
	case f.Kind == conflict.TwoHolders && f.Path == conflict.Dropped:
		c = status.AlsoHoldsDropped
	case f.Kind == conflict.TwoHolders && f.Path == conflict.Arrives:
		c = status.AlsoHoldsDeaf
	case f.Kind == conflict.TwoHolders && f.Path == conflict.Apart:
		c = status.AlsoHoldsApart
	}
	text := strings.TrimPrefix(d.Word(c, f, d.Addresses()).Message, "; ")
	if f.Kind == conflict.RouterTaken && f.Merges(v.Runs) {
		text += "; it is another deployment of this charm: both elect one holder between them, and the other's virtual IPs are nowhere"
	}
	return text
}

// use tells who has a virtual IP.
func use(d decide.Desired, o facts.Observed, v conflict.View, a netip.Addr, iface string) AddressUse {
	use := AddressUse{Address: a.String(), Interface: iface, Here: o.Machine.Has(a), Answered: []string{}}
	for _, i := range o.Machine.Interfaces {
		for _, p := range i.Addresses {
			if i.Name == iface && p.Bits() < a.BitLen() && p.Masked().Contains(a) {
				use.Subnet = p.Masked().String()
			}
		}
	}
	for _, answer := range o.Look.Asked(a) {
		who := v.Answerer(*o.Look, answer.By)
		if who == "" {
			who = answer.By.String()
		}
		if !slices.Contains(use.Answered, who) {
			use.Answered = append(use.Answered, who)
		}
	}
	return use
}

// Summary is one line for a person.
func (r NetworkReport) Summary(unit juju.Unit) string {
	switch len(r.Conflicts) {
	case 0:
		s := "nothing is wrong on the network as far as " + unit.String() + " sees it"
		if len(r.Faults) > 0 {
			s = "nothing wrong was seen, but not everything could be looked at: " + strings.Join(r.Faults, "; ")
		}
		return s
	case 1:
		return "1 conflict: " + r.Conflicts[0]
	}
	return fmt.Sprintf("%d conflicts, the first: %s", len(r.Conflicts), r.Conflicts[0])
}
