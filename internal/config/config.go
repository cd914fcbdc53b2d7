// Package config turns the charm's raw options into typed, bounded values. It
// does no I/O. What it returns is safe to render: no value holds white space,
// quotes, braces or control characters.
package config

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"keepalived-charm/internal/healthcheck"
	"keepalived-charm/internal/vrrp"
)

// Options are the charm's options. A value is valid by being here.
type Options struct {
	// VirtualIPs are the virtual IPs in the operator's order, without
	// duplicates; empty until the operator sets them.
	VirtualIPs []VirtualIP
	// Hostname is the name clients are given for the first virtual IP; may be
	// empty.
	Hostname string
	// Port is the port clients are given and the default port of the check.
	Port            int
	VirtualRouterID vrrp.VirtualRouterID
	// Interface overrides the choice of the interface; may be empty.
	Interface string
	Check     Check
	// Policy decides who holds the virtual IPs.
	Policy vrrp.Policy
	// AdvertInterval is the advertisement interval: with VRRP version 3 50 ms to
	// 40.95 s in whole centiseconds (RFC 9568 section 5.2.7, 12 bits), with
	// version 2 1 to 255 whole seconds (RFC 3768 section 5.3.7).
	AdvertInterval time.Duration
	// Version is the VRRP version to talk, 2 or 3; with AutoVersion it is 3 and
	// units of the Python charm are waited for.
	Version     int
	AutoVersion bool
	Mode        vrrp.Mode
	// AuthSecret is the URI of the user secret with the password of VRRP version
	// 2; empty for none.
	AuthSecret string
	// Spread shares the virtual IPs out over the units, each with a VRRP instance of
	// its own; their virtual router IDs count up from VirtualRouterID.
	Spread bool
	// Notify brings the units' statuses up to date right after a move.
	Notify bool
	// MetricsPort is the first TCP port to try for the metrics, 1-65535; 0: none are served.
	MetricsPort int
}

// VirtualIP is a virtual IP as the operator wrote it.
type VirtualIP struct {
	// Prefix holds the address with its host bits and the prefix length, a
	// single address's length by default.
	netip.Prefix
	// Sized tells that the operator gave the prefix length.
	Sized bool
	// Interface is the one that this virtual IP is to be on; empty for the choice that is
	// made for all.
	Interface string
	// Written is the address in the operator's words: those of IPv6 may be others than
	// the canonical ones (RFC 5952), and clients are told them as they are, as the Python
	// charm does.
	Written string
}

// Invalid is an option whose value cannot be used; the operator must act.
type Invalid struct {
	Option, Value string
	// Asker is the unit that asks for the value, in the place of the option; empty for the
	// operator.
	Asker string
	// Must completes the sentence "must be ...".
	Must string
}

// Error names option, value and allowed range in one sentence.
func (e *Invalid) Error() string {
	if e.Asker != "" {
		what := "interface"
		if e.Option == optionVIPs {
			what = "virtual IP"
		}
		return fmt.Sprintf("%s asks for %s %s, must be %s", e.Asker, what, quote(e.Value), e.Must)
	}
	return fmt.Sprintf("option %s is %s, must be %s", e.Option, quote(e.Value), e.Must)
}

// quote shows a value as a Go string, shortened to what a status line bears.
func quote(s string) string {
	const longest = 60
	if runes := []rune(s); len(runes) > longest {
		s = string(runes[:longest]) + "..."
	}
	return strconv.QuoteToASCII(s)
}

// option is the one place that knows an option: its default and how it is
// parsed. parse returns what the value must be, or nothing when it is fine.
type option struct {
	name     string
	standard any
	parse    func(o *Options, raw any) (must string)
}

// The order is the order in which faults are reported.
func table() []option {
	return []option{
		{optionVIPs, "", text((*Options).setVirtualIPs)},
		{"vip_hostname", "", text((*Options).setHostname)},
		{"port", 443, whole(1, 65535, func(o *Options, n int) { o.Port = n })},
		{"router_id", 23, whole(1, 255, func(o *Options, n int) { o.VirtualRouterID = vrrp.VirtualRouterID(n) })},
		{"network_interface", "", text((*Options).setInterface)},
		{"healthcheck_type", "tcp", oneOf(func(o *Options, s string) { o.Check.Type = healthcheck.Type(s) }, "tcp", "http", "https", "unit", "none")},
		{"healthcheck_target", "", text((*Options).setTarget)},
		{"healthcheck_path", "/", text((*Options).setCheckPath)},
		{"healthcheck_host", "", text((*Options).setCheckHost)},
		{"healthcheck_status", "200-399", text((*Options).setCheckStatus)},
		{optionCA, "", text((*Options).setCheckCA)},
		{"healthcheck_interval", 1, whole(1, 3600, func(o *Options, n int) {
			o.Check.Interval = healthcheck.Duration(n) * healthcheck.Duration(time.Second)
		})},
		{"healthcheck_timeout", 1.0, seconds(0.1, 60, time.Millisecond, func(o *Options, d time.Duration) { o.Check.Timeout = healthcheck.Duration(d) })},
		{"healthcheck_fall", 3, whole(1, 20, func(o *Options, n int) { o.Check.Fall = n })},
		{"healthcheck_rise", 2, whole(1, 20, func(o *Options, n int) { o.Check.Rise = n })},
		{"all_unhealthy", "keep", oneOf(func(o *Options, s string) { o.Policy.DropAllUnhealthy = s == "drop" }, "keep", "drop")},
		{"preempt", false, boolean(func(o *Options, b bool) { o.Policy.Preempt = b })},
		{"spread", false, boolean(func(o *Options, b bool) { o.Spread = b })},
		{"vrrp_version", "auto", func(o *Options, raw any) string {
			if must := oneOf((*Options).setVersion, "auto", "2", "3")(o, raw); must != "" {
				return must
			}
			return o.versionFits()
		}},
		{"vrrp_mode", "multicast", oneOf(func(o *Options, s string) { o.Mode = vrrp.Mode(s) }, "multicast", "unicast")},
		{optionSecret, "", text((*Options).setAuthSecret)},
		{"advert_interval", 0.2, (*Options).setAdvertInterval},
		{"status_notifications", true, boolean(func(o *Options, b bool) { o.Notify = b })},
		{"metrics_port", 9165, whole(0, 65535, func(o *Options, n int) { o.MetricsPort = n })},
	}
}

// Defaults returns every option's default, under the names of config.yaml.
func Defaults() map[string]any {
	defaults := map[string]any{}
	for _, opt := range table() {
		defaults[opt.name] = opt.standard
	}
	return defaults
}

// Effective returns the raw value of every option: the configured one, or its default.
func Effective(raw map[string]any) map[string]any {
	all := Defaults()
	for name := range all {
		if v := raw[name]; v != nil {
			all[name] = v
		}
	}
	return all
}

// Parse types and bounds the options that config-get printed (numbers as
// json.Number); a missing one takes its default. The error is an *Invalid.
func Parse(raw map[string]any) (Options, error) {
	var o Options
	for _, opt := range table() {
		v, ok := raw[opt.name]
		if !ok || v == nil {
			v = opt.standard
		}
		if must := opt.parse(&o, v); must != "" {
			return Options{}, &Invalid{Option: opt.name, Value: shown(opt.name, v), Must: must}
		}
	}
	o.Check.complete(o.Port)
	return o, nil
}

// Given are options as Juju gave them, and what they say.
type Given struct {
	// Raw is what config-get printed, by name.
	Raw map[string]any
	// Options are the typed ones; Fault is an *Invalid when they cannot be used.
	Options Options
	Fault   error
	// Usable are those that can be used by themselves; the others have their zero value.
	Usable Options
	// Asker is the unit that asks for the virtual IPs; empty where they are the option's.
	Asker string
}

// optionVIPs is the option that a principal unit may stand in for.
const optionVIPs = "virtual_ip"

// Asked are options with those in the place of the operator's that a unit asks for.
func Asked(raw map[string]any, asker string, asks map[string]any) Given {
	raw = Effective(raw)
	maps.Copy(raw, asks)
	g := Read(raw)
	g.Asker = asker
	if wrong, ok := g.Fault.(*Invalid); ok && wrong.Option == optionVIPs {
		wrong.Asker = asker
	}
	return g
}

// WrongVirtualIPs is the refusal of the virtual IPs.
func (g Given) WrongVirtualIPs(must string) *Invalid {
	return &Invalid{Option: optionVIPs, Value: g.Written(optionVIPs), Asker: g.Asker, Must: must}
}

// Standard tells whether none of some options was set to another value than its default.
func Standard(raw map[string]any, names ...string) bool {
	all, standard := Effective(raw), Defaults()
	return !slices.ContainsFunc(names, func(name string) bool { return fmt.Sprint(all[name]) != fmt.Sprint(standard[name]) })
}

// Read types and bounds options.
func Read(raw map[string]any) Given {
	g := Given{Raw: raw}
	if g.Options, g.Fault = Parse(raw); g.Fault == nil {
		g.Usable = g.Options
		return g
	}
	all := Effective(raw)
	for _, opt := range table() {
		if before := g.Usable; opt.parse(&g.Usable, all[opt.name]) != "" {
			g.Usable = before
		}
	}
	return g
}

// Written is the raw value of an option, for a message.
func (g Given) Written(name string) string { return fmt.Sprint(g.Raw[name]) }

// optionCA may hold a private key by mistake.
const optionCA = "healthcheck_ca"

// optionSecret may hold the password itself by mistake.
const optionSecret = "vrrp_auth_secret"

// shown is what a message shows of a value: of a PEM file no more than its first
// line, of what should be a secret's URI nothing.
func shown(option string, value any) string {
	const firstLine = len("-----BEGIN PRIVATE KEY-----")
	s := fmt.Sprint(value)
	switch {
	case option == optionCA && len(s) > firstLine:
		s = strings.ToValidUTF8(s[:firstLine], "") + "..."
	case option == optionSecret && !strings.HasPrefix(s, "secret:"):
		s = "********"
	}
	return s
}
