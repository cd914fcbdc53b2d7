package show

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"keepalived-charm/internal/decide"
	"keepalived-charm/internal/facts"
	"keepalived-charm/internal/group"
	"keepalived-charm/internal/keepalived"
	"keepalived-charm/internal/vrrp"
)

// Election is what this unit knows of its elections, and the result json of the action
// status.
type Election struct {
	Summary       string     `json:"summary"`
	Unit          string     `json:"unit"`
	Paused        bool       `json:"paused"`
	Keepalived    bool       `json:"keepalived-running"`
	HealthChecker bool       `json:"health-checker-running"`
	Check         string     `json:"check"`
	Version       string     `json:"workload-version"`
	Pending       []string   `json:"pending-follow-up"`
	Instances     []Instance `json:"instances"`
	Peers         []Peer     `json:"peers"`
}

// Instance is a VRRP instance with its virtual IPs, which move together.
type Instance struct {
	Name            string `json:"name"`
	Interface       string `json:"interface"`
	VirtualRouterID int    `json:"virtual-router-id"`
	// Role is the daemon's word: holder, standby, electing, fault, or unknown while it does
	// not answer.
	Role string `json:"role"`
	// Holder is the unit that has the virtual IPs, or unknown.
	Holder string `json:"holder"`
	// Since is when the daemon's part changed last; nil while it does not answer.
	Since    *time.Time `json:"since"`
	Priority int        `json:"priority"`
	VIPs     []VIP      `json:"vips"`
	Heard    []Heard    `json:"heard"`
}

// VIP is a virtual IP, and whether the kernel has it on this machine.
type VIP struct {
	Address netip.Addr `json:"address"`
	Present bool       `json:"present"`
}

// Heard is another machine whose advertisements came: a unit, or a stranger's address.
type Heard struct {
	From string `json:"from"`
	// Ago is the time since the last one, in seconds.
	Ago      float64 `json:"seconds-ago"`
	Priority int     `json:"priority"`
	Released bool    `json:"released"`
}

// Peer is another unit of the group, as it told through the peer relation.
type Peer struct {
	own     []netip.Addr
	serves  bool
	Name    string `json:"unit"`
	Address string `json:"address"`
	// Answers is yes, no, or unknown for a peer on no segment of this machine.
	Answers string `json:"answers"`
	Told    string `json:"told"`
	Heard   string `json:"heard"`
}

const unknown = "unknown"

// mostVIPs is how many virtual IPs, and peers, get keys of their own; the key json has all.
const mostVIPs = 20

// NewElection returns it as it is now. What the daemon was told to serve tell its files, so
// there is something to show also while the options cannot be used.
func NewElection(o facts.Observed, summary string, now time.Time) Election {
	m := o.Machine.Indexed()
	o.Machine = m
	e := Election{Summary: summary, Unit: o.Event.Unit.String(), Paused: m.Paused, Keepalived: m.Active,
		HealthChecker: m.CheckerActive, Check: Verdict(m.Check), Version: m.Version, Pending: []string{},
		Instances: []Instance{}, Peers: []Peer{}}
	for _, f := range m.Owed {
		e.Pending = append(e.Pending, string(f))
	}
	for _, p := range decide.Peers(o) {
		one := Peer{own: append(slices.Clone(p.Addresses), p.Address), serves: p.Serves, Name: p.Unit.String(),
			Answers: unknown, Told: told(p), Heard: "no advertisement"}
		if p.Address.IsValid() {
			one.Address = p.Address.String()
		}
		e.Peers = append(e.Peers, one)
	}
	if m.Checker == nil {
		return e // it serves nothing
	}
	routers := map[string]decide.Router{}
	if d, err := decide.Decide(o); err == nil {
		for _, r := range d.Routers {
			routers[d.Name(r)] = r
		}
	}
	for _, i := range m.Checker.Instances {
		one := Instance{Name: i.Name, Role: unknown, Holder: unknown, VirtualRouterID: int(i.VirtualRouterID), VIPs: []VIP{}, Heard: []Heard{}}
		for _, a := range i.Addresses {
			if !vrrp.IsAnchor(a) {
				one.VIPs = append(one.VIPs, VIP{a, m.Has(a)})
			}
		}
		e.hear(&one, m.Check.Heard, now)
		if s, reported := m.Report(i.Name); reported {
			since := time.Unix(int64(s.LastTransition), 0).UTC()
			one.Interface, one.Priority, one.Since, one.Role = s.Interface, int(s.Effective), &since, roleOf(s)
			one.Holder = cmp.Or(e.holder(o, one, s, routers), unknown)
		}
		e.Instances = append(e.Instances, one)
	}
	return e
}

// hear adds what the health checker heard for an instance.
func (e Election) hear(i *Instance, heard []facts.Heard, now time.Time) {
	for _, h := range heard {
		if h.Instance != i.Name {
			continue
		}
		last, released := h.Last, !h.Released.IsZero()
		if released {
			last = h.Released
		}
		one := Heard{From: cmp.Or(e.NameOf(h.Address), h.Address.String()),
			Ago: max(0, now.Sub(last).Round(100*time.Millisecond).Seconds()), Priority: int(h.Priority), Released: released}
		i.Heard = append(i.Heard, one)
		for n := range e.Peers {
			if p := &e.Peers[n]; p.Name == one.From {
				p.Heard = strings.TrimPrefix(one.String(), p.Name+" ")
			}
		}
	}
}

// roleOf puts the daemon's state in a word.
func roleOf(s keepalived.InstanceState) string {
	if s.State == keepalived.Backup && s.MasterPriority == 0 {
		return "electing"
	}
	return map[keepalived.State]string{keepalived.Init: "electing", keepalived.Backup: "standby",
		keepalived.Master: "holder", keepalived.Fault: "fault"}[s.State]
}

// holder names who has the virtual IPs: by the priority that this unit's daemon heard last,
// or by the address of who sends now; empty for nobody known.
func (e Election) holder(o facts.Observed, i Instance, s keepalived.InstanceState, routers map[string]decide.Router) string {
	if s.State == keepalived.Master {
		return e.Unit
	}
	if r, ok := routers[s.Name]; ok && i.Role == "standby" {
		holder, known := r.Holder(o.Machine, s)
		switch {
		case known:
			return holder.String()
		case r.Usurper(o.Machine, s) != nil:
			return ""
		}
	}
	last, name := *i.Since, ""
	for _, h := range o.Machine.Check.Heard {
		if h.Instance == i.Name && !h.Foreign && h.Speaks && h.Last.After(last) {
			last, name = h.Last, e.NameOf(h.Address)
		}
	}
	return name
}

// NameOf returns the peer that has an address, of two on one machine the one that serves;
// empty for none.
func (e Election) NameOf(a netip.Addr) string {
	name := ""
	for _, p := range e.Peers {
		switch {
		case !slices.Contains(p.own, a):
		case p.serves:
			return p.Name
		case name == "":
			name = p.Name
		}
	}
	return name
}

// Holders names who has the virtual IPs of each instance, each once.
func (e Election) Holders() []string {
	var names []string
	for _, i := range e.Instances {
		if !slices.Contains(names, i.Holder) {
			names = append(names, i.Holder)
		}
	}
	return names
}

// Answer notes which peers are at one of the addresses asked, and which of them was silent
// at all of those.
func (e Election) Answer(asked, silent []netip.Addr) {
	for n := range e.Peers {
		p := &e.Peers[n]
		for _, a := range asked {
			if slices.Contains(p.own, a) && p.Answers != yes(true) {
				p.Answers = yes(!slices.Contains(silent, a))
			}
		}
	}
}

// told puts in words what a peer told.
func told(p decide.Peer) string {
	switch {
	case !p.Serves:
		return "serves nothing"
	case p.Aside != group.TakesPart:
		return "stands aside: " + Readable(p.Aside.String())
	case p.Healthy == nil:
		return "takes part, no verdict yet"
	case *p.Healthy:
		return "takes part, check passes"
	}
	return "takes part, check fails"
}

// Verdict is the health checker's word.
func Verdict(c facts.CheckResult) string {
	switch {
	case c.Silent:
		return "no verdict: the health checker is silent"
	case !c.Known:
		return "no verdict yet"
	case c.Healthy:
		return "passes"
	}
	return "fails: " + c.Reason
}

// Readable turns the announcement that a unit stands aside for into words.
func Readable(text string) string {
	lead, aside := "", text
	if before, after, led := strings.Cut(text, ": "); led {
		lead, aside = before+": ", after
	}
	a := group.ParseAnnouncement(aside)
	if a == nil {
		return text
	}
	return fmt.Sprintf("%s%s changes over to %s", lead, a.Holder, a.Parameters)
}

// String is such as "keepalived/1 0.2 s ago (priority 203)".
func (h Heard) String() string {
	if h.Released {
		return fmt.Sprintf("%s handed over %.1f s ago", h.From, h.Ago)
	}
	return fmt.Sprintf("%s %.1f s ago (priority %d)", h.From, h.Ago, h.Priority)
}

// Results is the election under plain keys.
func (e Election) Results() map[string]string {
	results := map[string]string{
		"summary": e.Summary, "paused": yes(e.Paused), "keepalived": running(e.Keepalived), "health-checker": running(e.HealthChecker),
		"check": e.Check, "workload-version": cmp.Or(e.Version, "none"), "pending-follow-up": cmp.Or(strings.Join(e.Pending, " "), "none"),
	}
	number := 0
	for _, i := range e.Instances {
		for _, v := range i.VIPs {
			if number++; number > mostVIPs {
				break
			}
			key := "vip-" + strconv.Itoa(number)
			results[key] = v.Address.String()
			results[key+"-role"], results[key+"-holder"] = i.Role, i.Holder
			results[key+"-present"], results[key+"-check"] = yes(v.Present), e.Check
			results[key+"-heard"] = i.heard()
			if i.Since != nil {
				results[key+"-priority"], results[key+"-since"] = strconv.Itoa(i.Priority), i.Since.Format(time.RFC3339)
				results[key+"-interface"] = i.Interface
			}
		}
	}
	for n, p := range e.Peers {
		if n == mostVIPs {
			break
		}
		results["peer-"+strconv.Itoa(n+1)] = fmt.Sprintf("%s at %s: machine answers: %s; told: %s; heard: %s",
			p.Name, cmp.Or(p.Address, "an unknown address"), p.Answers, p.Told, p.Heard)
	}
	return results
}

func (i Instance) heard() string {
	var words []string
	for _, h := range i.Heard {
		words = append(words, h.String())
	}
	return cmp.Or(strings.Join(words, ", "), "nobody")
}

func running(active bool) string {
	if active {
		return "running"
	}
	return "not running"
}

func yes(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}
