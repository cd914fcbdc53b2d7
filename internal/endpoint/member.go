package endpoint

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"keepalived-charm/internal/group"
	"keepalived-charm/internal/juju"
	"keepalived-charm/internal/plain"
)

// Member is what a unit tells its peers on cluster.
type Member struct {
	// Principal is the unit whose machine this one shares. Units whose principal
	// units belong to other applications form other groups.
	Principal juju.Unit
	// Rank is the unit's rank in its group; negative when it told none.
	Rank int
	// Addresses are the unit's own addresses, no virtual IP among them.
	Addresses []netip.Addr
	// Address is where advertisements to this unit go in unicast mode; invalid
	// while it serves nothing.
	Address netip.Addr
	// Lists are the peers that this unit sends advertisements to in unicast mode.
	Lists []netip.Addr
	// MACs are those of the interfaces that the virtual IPs are on: who answers with
	// one of them is this unit.
	MACs []string
	// Knows is whom it knows; nil when it tells nothing of that.
	Knows group.Known
	// Word is the unit's part in the first virtual router, More holds the others by
	// number, from 1.
	group.Word
	More map[int]group.Word
	// Healthy is the verdict of this unit's health checker, nil without one. Databag
	// leaves it out: it is told apart, see Verdict.
	Healthy *bool
	// Since is when this unit got the virtual IPs last, in seconds since 1970; zero:
	// never. It stays when the unit loses them to one that tells of itself, so a move changes one databag and
	// Juju tells every peer once. Who holds them now tell the advertisements.
	Since int64
}

// Hidden returns what can be known of one whose part in virtual routers cannot be read.
func (m Member) Hidden() Member {
	m.Word = m.Word.Hidden()
	m.More = maps.Clone(m.More)
	for number, w := range m.More {
		m.More[number] = w.Hidden()
	}
	return m
}

// isMAC tells an Ethernet address as the kernel writes it.
func isMAC(s string) bool {
	bytes := strings.Split(s, ":")
	return len(bytes) == 6 && !slices.ContainsFunc(bytes, func(b string) bool { return !plain.Of(b, 2, plain.Hex) })
}

// Databag returns the member's databag.
func (m Member) Databag() juju.Databag {
	bag := juju.Databag{
		"principal": m.Principal.String(),
		"rank":      strconv.Itoa(m.Rank),
		"addresses": joinAddresses(m.Addresses),
		"address":   "",
		"lists":     joinAddresses(m.Lists),
		"macs":      strings.Join(m.MACs, ","),
		"knows":     joinKnown(m.Knows),
		"since":     "",
	}
	if m.Address.IsValid() {
		bag["address"] = m.Address.String()
	}
	m.Word.Write(bag, 0)
	for number, w := range m.More {
		w.Write(bag, number)
	}
	if m.Since > 0 {
		bag["since"] = strconv.FormatInt(m.Since, 10)
	}
	return spoken(bag)
}

// Verdict returns the part of a member's databag that tells the verdict of its
// health checker; nil withdraws it.
func Verdict(healthy *bool) juju.Databag {
	if healthy == nil {
		return spoken(juju.Databag{"healthy": ""})
	}
	return spoken(juju.Databag{"healthy": strconv.FormatBool(*healthy)})
}

// ReadMember reads a databag of cluster. What is missing or makes no sense is
// left at its zero value (the rank: -1): a peer may run another version of the
// charm, and must not be able to stop this one. What a later revision adds to a value
// stands behind a space. Of lists the first mostListed count.
func ReadMember(bag juju.Databag) Member {
	bag = understood(bag)
	text := func(key string) string {
		known, _, _ := strings.Cut(bag[key], " ")
		return known
	}
	m := Member{
		Rank:      -1,
		Addresses: splitAddresses(text("addresses")),
		Lists:     splitAddresses(text("lists")),
		MACs:      splitMACs(text("macs")),
		Knows:     splitKnown(text("knows")),
		More:      group.Routers(bag),
	}
	m.Word = m.More[0]
	delete(m.More, 0)
	if u, err := juju.ParseUnit(text("principal")); err == nil {
		m.Principal = u
	}
	if n, err := strconv.Atoi(text("rank")); err == nil && n >= 0 {
		m.Rank = n
	}
	if n, err := strconv.ParseInt(text("since"), 10, 64); err == nil && n > 0 {
		m.Since = n
	}
	if list := splitAddresses(text("address")); len(list) == 1 {
		m.Address = list[0]
	}
	if b := text("healthy"); b == "true" || b == "false" {
		healthy := b == "true"
		m.Healthy = &healthy
	}
	return m
}

func joinAddresses(addresses []netip.Addr) string {
	var words []string
	for _, a := range addresses {
		words = append(words, a.String())
	}
	return strings.Join(words, ",")
}

func joinKnown(k group.Known) string {
	var words []string
	for _, number := range slices.Sorted(maps.Keys(k)) {
		words = append(words, fmt.Sprintf("%d:%d", number, k[number]))
	}
	return strings.Join(words, ",")
}

// splitKnown keeps what makes sense; nil for nothing.
func splitKnown(s string) group.Known {
	var k group.Known
	for word := range strings.SplitSeq(s, ",") {
		unit, times, _ := strings.Cut(word, ":")
		number, err := strconv.Atoi(unit)
		begun, err2 := strconv.Atoi(times)
		if err != nil || err2 != nil || number < 0 || begun < 0 || begun > group.MostBegun || len(k) == mostListed {
			continue
		}
		if k == nil {
			k = group.Known{}
		}
		k[number] = begun
	}
	return k
}

// splitMACs keeps those of the form that the kernel's tables have.
func splitMACs(s string) []string {
	list := slices.DeleteFunc(strings.Split(s, ","), func(word string) bool { return !isMAC(word) })
	return list[:min(len(list), mostListed)]
}

// mostListed bounds the lists that a peer tells: more than any unit has.
const mostListed = 256

// splitAddresses keeps those that a host can have, each in its only form.
func splitAddresses(s string) []netip.Addr {
	var list []netip.Addr
	for word := range strings.SplitSeq(s, ",") {
		a, err := netip.ParseAddr(word)
		hosts := a.IsGlobalUnicast() || a.IsLinkLocalUnicast()
		if err == nil && hosts && !a.Is4In6() && a.Zone() == "" && len(list) < mostListed {
			list = append(list, a)
		}
	}
	return list
}
