package endpoint

import (
	"net/netip"
	"regexp"
	"strconv"

	"keepalived-charm/internal/juju"
	"keepalived-charm/internal/vrrp"
)

// Router is what a unit tells of its part in one virtual router.
type Router struct {
	// Runs are the parameters in use; nil while the unit serves nothing.
	Runs *vrrp.Parameters
	// Next announces, while this unit holds the virtual IPs, the parameters it is
	// about to change to.
	Next *Announcement
	// Round is the last announcement's, withdrawn or not.
	Round int
	// Aside is what this unit stands aside for: the text of an announcement, or a
	// word for people; empty while it takes part.
	Aside string
	// VirtualIPs are the router's; told only where there is a router for each.
	VirtualIPs []netip.Addr
}

// key is what a value of virtual router number is called.
func key(name string, number int) string {
	if number == 0 {
		return name
	}
	return name + "-" + strconv.Itoa(number)
}

// moreKeys are keys of virtual routers but the first.
var moreKeys = regexp.MustCompile(`^(?:vrrp|next|round|aside|vips)-([1-9][0-9]{0,2})$`)

// Former returns the keys of virtual routers that are in have and no longer wanted.
func Former(want, have juju.Databag) juju.Databag {
	gone := juju.Databag{}
	for k := range have {
		if _, wanted := want[k]; !wanted && moreKeys.MatchString(k) {
			gone[k] = ""
		}
	}
	return gone
}

func (r Router) databag(number int) juju.Databag {
	bag := juju.Databag{}
	set := func(name, value string) { bag[key(name, number)] = value }
	set("vrrp", "")
	if r.Runs != nil {
		set("vrrp", r.Runs.String())
	}
	set("next", "")
	if r.Next != nil {
		set("next", r.Next.String())
	}
	set("round", "")
	if r.Round > 0 {
		set("round", strconv.Itoa(r.Round))
	}
	set("aside", r.Aside)
	set("vips", joinAddresses(r.VirtualIPs))
	return bag
}

func readRouter(bag juju.Databag, number int) Router {
	r := Router{
		Next:       ParseAnnouncement(bag[key("next", number)]),
		Aside:      bag[key("aside", number)],
		VirtualIPs: splitAddresses(bag[key("vips", number)]),
	}
	if n, err := strconv.Atoi(bag[key("round", number)]); err == nil && n > 0 {
		r.Round = n
	}
	if p, ok := vrrp.ParseParameters(bag[key("vrrp", number)]); ok {
		r.Runs = &p
	}
	return r
}
