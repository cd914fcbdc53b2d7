// Package facts turns the texts that a hook has read, of files and of databags, into
// values: once, where it reads them. What decides gets these values and reads no text
// again. What cannot be read is a value too. The package does no I/O.
package facts

import (
	"cmp"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"keepalived-charm/internal/applied"
	"keepalived-charm/internal/config"
	"keepalived-charm/internal/endpoint"
	"keepalived-charm/internal/group"
	"keepalived-charm/internal/healthcheck"
	"keepalived-charm/internal/juju"
	"keepalived-charm/internal/keepalived"
)

// Texts are the files of a machine that tell what is configured there; empty for one
// that is not there.
type Texts struct {
	// Runs are those that tell what the unit runs.
	Runs applied.Texts
	// Main is keepalived.conf, whoever wrote it.
	Main string
	// Checker is the health checker's configuration.
	Checker string
	// Shared are the files of all applications, by path.
	Shared map[string]string
	// Unit names the unit whose the application's files are.
	Unit string
	// Neighbours are the fragments of other applications, by application.
	Neighbours map[string]string
	// Owned are the files of the machine's owner, by path: the one from before the charm,
	// which is called Before, and those that it includes.
	Owned  map[string]string
	Before string
}

// Configured is what the files of a machine tell.
type Configured struct {
	// Applied is what the unit runs; Unread is why that is not known, nil when it is.
	Applied applied.Record
	Unread  error
	// Took are the options that the unit took, the last in front.
	Took []config.Given
	// Served is what the unit serves, whether its options can be used or not.
	Served Served
	// Checker is the health checker's configuration; nil where there is none that can be
	// read.
	Checker *healthcheck.Config
	// Formats are the numbers in the headers of the files of all applications, by path; 0
	// for one that the charm did not write.
	Formats map[string]int
	// Unit is the unit whose the application's files are; zero for nobody.
	Unit juju.Unit
	// Others are the configurations of others.
	Others []Other
	// Placed are all addresses that keepalived may have put on the machine, by whatever
	// file.
	Placed map[netip.Addr]bool
}

// Served is what a unit serves by its record and the files that keepalived reads.
type Served struct {
	// Addresses are the virtual IPs in the files' order.
	Addresses []netip.Addr
	// Port is that of the options taken last, or the one that the Python charm checks; zero
	// where it is not known.
	Port int
}

// Other is the configuration of somebody else on the machine.
type Other struct {
	// Owner is who it is, in words; File the path of a file of the machine's owner, empty
	// for another application's.
	Owner, File string
	Instances   []keepalived.Instance
	// Settings are what it sets for every instance, another application's left out.
	Settings []keepalived.Setting
}

// Read understands files.
func Read(t Texts) Configured {
	c := Configured{Placed: map[netip.Addr]bool{}, Formats: map[string]int{}}
	for path, text := range t.Shared {
		c.Formats[path] = format(text)
	}
	if unit, err := juju.ParseUnit(strings.TrimSpace(t.Unit)); err == nil {
		c.Unit = unit
	}
	c.Applied, c.Unread = applied.Read(t.Runs)
	for _, options := range []map[string]any{c.Applied.Moving, c.Applied.Options} {
		if options != nil {
			c.Took = append(c.Took, config.Read(options))
		}
	}
	c.Served.Addresses, c.Served.Port = applied.Served(t.Runs, c.Applied)
	if latest := c.Applied.Latest(); latest != nil {
		c.Served.Port = config.Read(latest).Usable.Port
	}
	if checker, err := healthcheck.Parse([]byte(t.Checker)); err == nil {
		c.Checker = &checker
	}
	for _, application := range slices.Sorted(maps.Keys(t.Neighbours)) {
		c.Others = append(c.Others, Other{Owner: "application " + application, Instances: keepalived.Instances(t.Neighbours[application])})
	}
	c.Others = append(c.Others, t.owners()...)
	for _, addresses := range c.Applied.All() {
		c.place(addresses)
	}
	for _, o := range c.Others {
		for _, instance := range o.Instances {
			if !instance.Static {
				c.place(instance.Addresses)
			}
		}
	}
	c.place(keepalived.VirtualAddresses(t.Main))
	return c
}

// format is the number in the header of a file of all applications; 0 without one.
func format(text string) int {
	if !Ours(text) {
		return 0
	}
	for line := range strings.Lines(text) {
		if number, found := strings.CutPrefix(line, "# Format "); found {
			n, err := strconv.Atoi(strings.TrimSpace(number))
			if err == nil {
				return n
			}
		}
	}
	return 0
}

// owners are the files of the machine's owner as keepalived reads them: first the one from before
// the charm with what it includes.
func (t Texts) owners() []Other {
	find := func(pattern string) map[string]string {
		found := map[string]string{}
		for name, text := range t.Owned {
			if keepalived.Match(pattern, name) && name != t.Before {
				found[name] = text
			}
		}
		return found
	}
	var list []Other
	of := map[string]int{}
	definitions := keepalived.Definitions{}
	for _, name := range append([]string{t.Before}, slices.Sorted(maps.Keys(t.Owned))...) {
		if _, known := of[name]; known || t.Owned[name] == "" {
			continue
		}
		text := keepalived.Load(definitions, name, t.Owned[name], find)
		for _, file := range keepalived.Files(text) {
			if _, known := of[file]; known {
				continue
			}
			owner := file
			if file == t.Before {
				owner = "the keepalived.conf from before the charm"
			}
			of[file], list = len(list), append(list, Other{Owner: owner, File: file})
		}
		for _, i := range keepalived.Instances(text) {
			o := &list[of[i.File]]
			o.Instances = append(o.Instances, i)
		}
		for _, s := range keepalived.Settings(text) {
			o := &list[of[s.File]]
			o.Settings = append(o.Settings, s)
		}
	}
	slices.SortFunc(list, func(a, b Other) int { return cmp.Compare(a.File, b.File) })
	return list
}

func (c Configured) place(addresses []netip.Addr) {
	for _, a := range addresses {
		c.Placed[a] = true
	}
}

// Used are the options that the unit took last, defaults when it took none.
func (c Configured) Used() config.Options {
	if len(c.Took) == 0 {
		return config.Read(nil).Options
	}
	return c.Took[0].Options
}

// Foreign tells a keepalived.conf that is neither the charm's nor the Python
// charm's; an empty one is nobody's.
func Foreign(text string) bool { return isForeign(text, keepalived.IsPython) }

func isForeign(text string, python func(string) bool) bool {
	return strings.TrimSpace(text) != "" && !Ours(text) && !python(text)
}

// Ours tells by its first line that the charm wrote a file.
func Ours(text string) bool { return strings.HasPrefix(text, "# Written by the Juju charm keepalived") }

// IsPythonSysctl tells the Python charm's file of kernel settings.
func IsPythonSysctl(text string) bool {
	return strings.TrimSpace(text) == "net.ipv4.ip_nonlocal_bind=1"
}

// Member is a unit in the peer relation.
type Member struct {
	// Member is what it told.
	endpoint.Member
	// Silent tells that it has told nothing itself yet; Ingress is the address that Juju
	// tells of it, invalid for none.
	Silent  bool
	Ingress netip.Addr
	// Left is when Juju took it off the list of peers, in seconds since 1970; zero for a peer.
	Left int64
}

// Lingers tells that a unit which is no peer any more may take part still: it tells when it
// begins to leave, which may be long after Juju has told the others.
func (m Member) Lingers() bool {
	words := append(slices.Collect(maps.Values(m.More)), m.Word)
	return slices.ContainsFunc(words, func(w group.Word) bool { return w.Serves && w.Aside != group.Leaving })
}

// Service is what clients were told of a service; zero for nothing.
type Service struct {
	Hostname string
	Port     int
}

// ReadService understands the databag that a unit has published for clients.
func ReadService(bag juju.Databag) Service {
	s := Service{Hostname: bag["hostname"]}
	if port, err := strconv.ParseUint(bag["port"], 10, 16); err == nil {
		s.Port = int(port)
	}
	return s
}

// ReadMember understands a unit's databag of the peer relation.
func ReadMember(bag juju.Databag) Member {
	m := Member{Member: endpoint.ReadMember(bag), Silent: bag["principal"] == ""}
	if a, err := netip.ParseAddr(bag["ingress-address"]); err == nil {
		m.Ingress = a
	}
	return m
}
