// Package healthcheck is what the health checker is told: the configuration file that the
// charm writes and internal/checker carries out. It does no I/O.
package healthcheck

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"path"
	"slices"
	"time"

	"keepalived-charm/internal/plain"
	"keepalived-charm/internal/vrrp"
)

// Config is everything the checker is told, as the charm writes it.
type Config struct {
	// Application names the checker in messages.
	Application string `json:"application"`
	// Instances are the VRRP instances that the verdict counts for, at least one.
	Instances []Instance `json:"instances"`
	// Policy turns health and holding into an adjustment of the priority.
	Policy vrrp.Policy `json:"policy"`
	// Peers tells that the group has other units: only then does a sick holder
	// step aside.
	Peers bool `json:"peers"`
	// AdvertInterval is how often a holder advertises; of several instances that of the
	// fastest. Zero: as often as can be.
	AdvertInterval Duration `json:"advert_interval,omitempty"`
	// Deserted tells that the peers may no longer send their advertisements here: a
	// unit that leaves in unicast mode would not notice its successor.
	Deserted bool `json:"deserted,omitempty"`
	// StatusFile is where the checker writes its Status; empty means nowhere. Beside it is
	// the socket Orders.
	StatusFile string `json:"status_file,omitempty"`
	// Check says what is checked, and how.
	Check Check `json:"check"`
	// Booted is a file that is there from the machine's boot until a hook has looked
	// at this configuration. A unit that finds it stands aside as well, unless it
	// holds an instance: the others may have changed over while it was away.
	Booted string `json:"booted,omitempty"`
	// News is a directory in which the checker leaves the file Pending when the
	// unit got or lost an instance, the verdict turned, or one of Links went down
	// or came up; empty means that nobody wants to know.
	News string `json:"news,omitempty"`
	// Links are the network interfaces of the virtual IPs, and that of the advertisements.
	Links []string `json:"links,omitempty"`
	// History is the directory of the unit's journal (package history); empty means
	// that nothing is noted.
	History string `json:"history,omitempty"`
	// Metrics says where metrics are served; the zero value: nowhere.
	Metrics Metrics `json:"metrics,omitzero"`
}

// Metrics says where metrics are served, and what the health checker does not know itself.
type Metrics struct {
	// Port is the TCP port on the loopback device, 1-65535.
	Port int `json:"port"`
	// Link is the interface on which the instances advertise.
	Link string `json:"link"`
	// Hook is the file in which hooks tell what they found (package metrics).
	Hook string `json:"hook"`
}

// Privileged tells a port that only root may have (ip(7), ip_unprivileged_port_start).
func (m Metrics) Privileged() bool { return m.Port > 0 && m.Port < 1024 }

func (m Metrics) validate() error {
	switch {
	case m == Metrics{}:
	case m.Port < 1 || m.Port > 65535:
		return fmt.Errorf("metrics port %d is not within 1-65535", m.Port)
	case !interfaceName(m.Link):
		return fmt.Errorf("%q is not an interface name", m.Link)
	case !plainPath(m.Hook):
		return fmt.Errorf("file of hooks %q is not an absolute path", m.Hook)
	}
	return nil
}

// file is the file, as it is written.
type file struct {
	Version int `json:"version"`
	Config
}

// Pending is the name of the empty file that says that there are news.
const Pending = "pending"

// Orders is the name of the socket at which the checker takes orders.
const Orders = "orders"

// Instance is one VRRP instance.
type Instance struct {
	// Name is the instance's name in keepalived.conf.
	Name string `json:"name"`
	// TrackFile is the absolute path of the instance's track file. It is written
	// in place and must not be replaced while the checker runs.
	TrackFile string `json:"track_file"`
	// VirtualRouterID is whose advertisements are listened for; zero: nobody's.
	VirtualRouterID vrrp.VirtualRouterID `json:"virtual_router_id,omitempty"`
	// Version is that of VRRP in the advertisements that keepalived takes, 2 or 3, and Auth
	// the fingerprint of their password (vrrp.Fingerprint), empty without one. Version zero:
	// all are taken.
	Version int    `json:"vrrp_version,omitempty"`
	Auth    string `json:"auth,omitempty"`
	// Unicast tells that the peers' advertisements may come through routers; those of a
	// multicast group never do (RFC 9568 section 5.1.1.3).
	Unicast bool `json:"unicast,omitempty"`
	// Interface carries the addresses.
	Interface string `json:"interface"`
	// Addresses are the virtual IPs; the unit holds the instance while the first
	// is on Interface.
	Addresses []netip.Addr `json:"addresses"`
	Wait
}

// Wait is what an instance stands aside for, and what ends that.
type Wait struct {
	// Aside, when not empty, keeps the unit out of the instance's election and says
	// for what: a word for people and for telling one occasion from another. The unit
	// takes part again by itself when Watch has given no sign of life for a while;
	// without Watch it stays aside.
	Aside string `json:"aside,omitempty"`
	// Watch is ADDRESS:PORT of a virtual IP. Signs of life are a connection that is
	// accepted or refused, a machine on one of Links that says it has the address, and
	// advertisements of VirtualRouterID. Where there are none the other Addresses count.
	Watch string `json:"watch,omitempty"`
	// WatchLink is the interface where Watch is; while it is down nobody can be seen there.
	// Empty: any of Links.
	WatchLink string `json:"watch_link,omitempty"`
	// DeadAfter is how long Watch must have given no sign of life, longer than a failover
	// among the others takes; DefaultDeadAfter at least.
	DeadAfter Duration `json:"dead_after,omitempty"`
}

// DefaultDeadAfter is how long a virtual IP must have given no sign of life, at least, until a
// unit that stands aside takes part again.
const DefaultDeadAfter = Duration(2 * time.Second)

// Duration is a time.Duration that is written as text, such as "1s" or "150ms".
type Duration time.Duration

// MarshalText returns the form that time.ParseDuration reads.
func (d Duration) MarshalText() ([]byte, error) {
	return []byte(time.Duration(d).String()), nil
}

// UnmarshalText reads what time.ParseDuration reads.
func (d *Duration) UnmarshalText(text []byte) error {
	v, err := time.ParseDuration(string(text))
	if err != nil {
		return fmt.Errorf("%q is not a duration such as 1s or 150ms", text)
	}
	*d = Duration(v)
	return nil
}

// Later is a configuration that a later revision of the charm wrote.
type Later struct{ Version int }

// Error names both versions.
func (l *Later) Error() string {
	return fmt.Sprintf("it is of version %d, this revision of the charm reads version %d", l.Version, Version)
}

// Parse reads a configuration: JSON without unknown keys, valid as Validate
// defines it.
func Parse(data []byte) (Config, error) {
	var of struct {
		Version int `json:"version"`
	}
	if err := json.Unmarshal(data, &of); err == nil && of.Version > Version {
		return Config{}, &Later{of.Version}
	}
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	var f file
	if err := decoder.Decode(&f); err != nil {
		return Config{}, err
	}
	c := f.Config
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return Config{}, errors.New("there is more than one JSON value")
	}
	if err := c.Validate(); err != nil {
		return Config{}, err
	}
	return c, nil
}

// Marshal returns the bytes of the configuration file: the same for equal
// configurations. It refuses what Parse would refuse.
func (c Config) Marshal() ([]byte, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	data, err := json.MarshalIndent(file{Version, c}, "", "  ")
	if err != nil {
		return nil, err
	}
	return append(data, '\n'), nil
}

// plainName tells what applications and instances are called.
func plainName(s string) bool { return plain.Word(s, 128, "._-") }

// interfaceName tells a subset of what dev_valid_name in Linux lets pass, up to
// IFNAMSIZ-1 bytes.
func interfaceName(s string) bool { return plain.Word(s, 15, "._:@-") }

// Validate says in one sentence what is wrong with the configuration.
func (c Config) Validate() error {
	if !plainName(c.Application) {
		return fmt.Errorf("application %q is not a plain name", c.Application)
	}
	if len(c.Instances) == 0 {
		return errors.New("there is no instance")
	}
	if c.StatusFile != "" && !plainPath(c.StatusFile) {
		return fmt.Errorf("status file %q is not an absolute path", c.StatusFile)
	}
	if c.AdvertInterval < 0 {
		return fmt.Errorf("advertisement interval %v is negative", time.Duration(c.AdvertInterval))
	}
	watched := false
	names, files := map[string]bool{}, map[string]bool{c.StatusFile: true}
	for _, i := range c.Instances {
		if err := i.validate(); err != nil {
			return err
		}
		if i.Watch != "" && i.Aside == "" && c.Booted == "" {
			return fmt.Errorf("instance %q has something to watch, but nothing to stand aside for", i.Name)
		}
		watched = watched || i.Watch != ""
		if names[i.Name] {
			return fmt.Errorf("instance %q is named twice", i.Name)
		}
		if files[i.TrackFile] {
			return fmt.Errorf("file %q is named twice", i.TrackFile)
		}
		names[i.Name], files[i.TrackFile] = true, true
	}
	if c.Booted != "" && (!plainPath(c.Booted) || !watched) {
		return fmt.Errorf("file of the boot %q is not an absolute path, or there is nothing to watch", c.Booted)
	}
	if c.News != "" && !plainPath(c.News) {
		return fmt.Errorf("directory for news %q is not an absolute path", c.News)
	}
	if c.History != "" && !plainPath(c.History) {
		return fmt.Errorf("directory of the history %q is not an absolute path", c.History)
	}
	for _, link := range c.Links {
		if !interfaceName(link) {
			return fmt.Errorf("%q is not an interface name", link)
		}
	}
	if err := c.Metrics.validate(); err != nil {
		return err
	}
	return c.Check.validate()
}

func (i Instance) validate() error {
	switch {
	case !plainName(i.Name):
		return fmt.Errorf("instance %q is not a plain name", i.Name)
	case !plainPath(i.TrackFile):
		return fmt.Errorf("instance %q: track file %q is not an absolute path", i.Name, i.TrackFile)
	case i.VirtualRouterID < 0 || i.VirtualRouterID > 255:
		return fmt.Errorf("instance %q: virtual router ID %d is not within 1-255", i.Name, i.VirtualRouterID)
	case i.Version != 0 && i.Version != 2 && i.Version != 3:
		return fmt.Errorf("instance %q: there is no version %d of VRRP", i.Name, i.Version)
	case i.Auth != "" && (i.Version != 2 || !plain.Word(i.Auth, 4, "") || len(i.Auth) != 4):
		return fmt.Errorf("instance %q: %q is no fingerprint of a password of VRRP version 2", i.Name, i.Auth)
	case !interfaceName(i.Interface):
		return fmt.Errorf("instance %q: %q is not an interface name", i.Name, i.Interface)
	case len(i.Addresses) == 0:
		return fmt.Errorf("instance %q has no address", i.Name)
	}
	if _, err := netip.ParseAddrPort(i.Watch); i.Watch != "" && err != nil {
		return fmt.Errorf("instance %q: watch %q is not ADDRESS:PORT", i.Name, i.Watch)
	}
	if i.DeadAfter < 0 {
		return fmt.Errorf("instance %q: a virtual IP cannot be dead after %v", i.Name, time.Duration(i.DeadAfter))
	}
	if i.WatchLink != "" && !interfaceName(i.WatchLink) {
		return fmt.Errorf("instance %q: %q is not an interface name", i.Name, i.WatchLink)
	}
	for _, a := range i.Addresses {
		if !a.IsValid() || a.IsUnspecified() || a.Zone() != "" || a.Is4In6() {
			return fmt.Errorf("instance %q: %q is not an address it can hold", i.Name, a)
		}
	}
	return nil
}

// Aside tells what every instance of the unit stands aside for; empty when one takes
// part.
func (c Config) Aside() string {
	for _, i := range c.Instances {
		if i.Aside == "" {
			return ""
		}
	}
	return c.Instances[0].Aside
}

// VirtualIPs are the virtual IPs of the unit, without what stands for them in
// advertisements.
func (c Config) VirtualIPs() []netip.Addr {
	var list []netip.Addr
	for _, i := range c.Instances {
		list = append(list, i.Addresses...)
	}
	return slices.DeleteFunc(list, vrrp.IsAnchor)
}

// plainPath tells an absolute path in its shortest form.
func plainPath(p string) bool {
	return path.IsAbs(p) && path.Clean(p) == p && p != "/" && !bytes.ContainsRune([]byte(p), 0)
}
