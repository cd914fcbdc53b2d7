package charm

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
	"keepalived-charm/internal/juju"
	"keepalived-charm/internal/show"
)

// mostVIPs is how many virtual IPs get keys of their own; the key json lists all.
const mostVIPs = 20

// shown is the action status for programs.
type shown struct {
	Summary       string          `json:"summary"`
	Unit          string          `json:"unit"`
	Paused        bool            `json:"paused"`
	Keepalived    bool            `json:"keepalived-running"`
	HealthChecker bool            `json:"health-checker-running"`
	Check         string          `json:"check"`
	Version       string          `json:"workload-version"`
	Pending       []string        `json:"pending-follow-up"`
	Instances     []shownInstance `json:"instances"`
	Peers         []shownPeer     `json:"peers"`
}

// shownInstance is a VRRP instance with its virtual IPs, which move together.
type shownInstance struct {
	Name            string       `json:"name"`
	Interface       string       `json:"interface"`
	VirtualRouterID int          `json:"virtual-router-id"`
	Role            string       `json:"role"`
	Holder          string       `json:"holder"`
	Since           *time.Time   `json:"since"`
	Priority        int          `json:"priority"`
	VIPs            []shownVIP   `json:"vips"`
	Heard           []shownHeard `json:"heard"`
}

type shownVIP struct {
	Address netip.Addr `json:"address"`
	Present bool       `json:"present"`
}

// shownHeard is another machine whose advertisements came. Only holders send any.
type shownHeard struct {
	From string `json:"from"`
	// Ago is the time since the last one, in seconds.
	Ago      float64 `json:"seconds-ago"`
	Priority int     `json:"priority"`
	Released bool    `json:"released"`
}

type shownPeer struct {
	Unit    juju.Unit `json:"-"`
	Name    string    `json:"unit"`
	Address string    `json:"address"`
	// Answers is yes, no, or unknown for a peer on no segment of this machine.
	Answers string `json:"answers"`
	Told    string `json:"told"`
	Heard   string `json:"heard"`
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

// verdict is the health checker's word.
func verdict(c facts.CheckResult) string {
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

func showStatus(r request) (map[string]string, error) {
	m, now := r.obs.Machine, time.Now()
	view := show.NewView(r.obs)
	s := shown{
		Summary: statusOf(r.obs).Message, Unit: r.obs.Event.Unit.String(), Paused: m.Paused, Keepalived: m.Active,
		HealthChecker: m.CheckerActive, Check: verdict(m.Check), Version: m.Version, Pending: []string{},
		Instances: []shownInstance{}, Peers: []shownPeer{},
	}
	for _, f := range m.Owed {
		s.Pending = append(s.Pending, string(f))
	}
	for _, i := range view.Instances {
		s.Instances = append(s.Instances, showInstance(i, now))
	}
	if err := r.showPeers(&s, view, now); err != nil {
		return nil, err
	}
	results := s.flat()
	return results, attach(results, s)
}

func showInstance(i show.InstanceView, now time.Time) shownInstance {
	s := shownInstance{Name: i.Name, Interface: i.Interface, VirtualRouterID: int(i.VirtualRouterID), Role: i.Role,
		Holder: cmp.Or(i.Holder, "unknown"), Priority: int(i.Priority), VIPs: []shownVIP{}, Heard: []shownHeard{}}
	if !i.Since.IsZero() {
		s.Since = &i.Since
	}
	for _, v := range i.VIPs {
		s.VIPs = append(s.VIPs, shownVIP{v.Address, v.Present})
	}
	for _, h := range i.Heard {
		last, released := h.Last, !h.Released.IsZero()
		if released {
			last = h.Released
		}
		s.Heard = append(s.Heard, shownHeard{From: cmp.Or(h.Unit, h.Address.String()),
			Ago: max(0, now.Sub(last).Round(100*time.Millisecond).Seconds()), Priority: int(h.Priority), Released: released})
	}
	return s
}

// String is such as "keepalived/1 0.2 s ago (priority 203)".
func (h shownHeard) String() string {
	if h.Released {
		return fmt.Sprintf("%s handed over %.1f s ago", h.From, h.Ago)
	}
	return fmt.Sprintf("%s %.1f s ago (priority %d)", h.From, h.Ago, h.Priority)
}

// showPeers tells what each peer told, and whether its machine answers now.
func (r request) showPeers(s *shown, view show.View, now time.Time) error {
	asked := view.OnLink(r.obs.Machine)
	silent, err := r.m.Unreachable(asked, decide.MACs(r.obs))
	if err != nil {
		return err
	}
	for _, p := range view.Peers {
		one := shownPeer{Unit: p.Unit, Name: p.Unit.String(), Answers: "unknown", Heard: "no advertisement"}
		if p.Address.IsValid() {
			one.Address = p.Address.String()
		}
		if slices.Contains(asked, p.Address) {
			one.Answers = yes(!slices.Contains(silent, p.Address))
		}
		switch {
		case !p.Serves:
			one.Told = "serves nothing"
		case p.Aside != "":
			one.Told = "stands aside: " + readable(p.Aside.String())
		case p.Healthy == nil:
			one.Told = "takes part, no verdict yet"
		case *p.Healthy:
			one.Told = "takes part, check passes"
		default:
			one.Told = "takes part, check fails"
		}
		for _, i := range s.Instances {
			for _, h := range i.Heard {
				if h.From == one.Name {
					one.Heard = strings.TrimPrefix(h.String(), one.Name+" ")
				}
			}
		}
		s.Peers = append(s.Peers, one)
	}
	return nil
}

// flat is the status under plain keys.
func (s shown) flat() map[string]string {
	results := map[string]string{
		"summary": s.Summary, "paused": yes(s.Paused), "keepalived": running(s.Keepalived), "health-checker": running(s.HealthChecker),
		"check": s.Check, "workload-version": cmp.Or(s.Version, "none"), "pending-follow-up": cmp.Or(strings.Join(s.Pending, " "), "none"),
	}
	number := 0
	for _, i := range s.Instances {
		for _, v := range i.VIPs {
			if number++; number > mostVIPs {
				break
			}
			key := "vip-" + strconv.Itoa(number)
			results[key] = v.Address.String()
			results[key+"-role"], results[key+"-holder"] = i.Role, i.Holder
			results[key+"-present"], results[key+"-check"] = yes(v.Present), s.Check
			results[key+"-heard"] = i.heard()
			if i.Role != show.RoleUnknown {
				results[key+"-priority"], results[key+"-since"] = strconv.Itoa(i.Priority), i.Since.Format(time.RFC3339)
				results[key+"-interface"] = i.Interface
			}
		}
	}
	for n, p := range s.Peers {
		if n == mostVIPs {
			break
		}
		results["peer-"+strconv.Itoa(n+1)] = fmt.Sprintf("%s at %s: machine answers: %s; told: %s; heard: %s",
			p.Name, cmp.Or(p.Address, "an unknown address"), p.Answers, p.Told, p.Heard)
	}
	return results
}

func (i shownInstance) heard() string {
	var words []string
	for _, h := range i.Heard {
		words = append(words, h.String())
	}
	return cmp.Or(strings.Join(words, ", "), "nobody")
}
