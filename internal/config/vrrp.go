package config

import (
	"slices"
	"strings"
	"time"

	"keepalived-charm/internal/plain"
)

func (o *Options) setVersion(s string) {
	o.Version, o.AutoVersion = 3, s == "auto"
	if s == "2" {
		o.Version = 2
	}
}

// versionFits comes after virtual_ip in the table. Version 2 knows IPv4 alone (RFC
// 3768 section 1.2); beside one IPv4 address its advertisements do for IPv6 ones too.
func (o *Options) versionFits() string {
	four := func(v VirtualIP) bool { return v.Addr().Is4() }
	if o.Version == 2 && len(o.VirtualIPs) > 0 && !slices.ContainsFunc(o.VirtualIPs, four) {
		return "auto or 3 while every address in virtual_ip is IPv6"
	}
	return ""
}

// IsInterval tells whether a VRRP version can have an advertisement interval.
func IsInterval(version int, d time.Duration) bool {
	if version == 2 {
		return d >= time.Second && d <= 255*time.Second && d%time.Second == 0
	}
	return d >= 50*time.Millisecond && d <= 40950*time.Millisecond && d%(10*time.Millisecond) == 0
}

// isSecretURI tells a secret's URI as juju add-secret prints it, with or without the
// model.
func isSecretURI(s string) bool {
	s, found := strings.CutPrefix(s, "secret:")
	if model, inModel := strings.CutPrefix(s, "//"); inModel {
		model, s, _ = strings.Cut(model, "/")
		found = found && plain.Of(model, 36, plain.Hex+"-")
	}
	return found && plain.Of(s, 20, "0123456789abcdefghijklmnopqrstuvwxyz")
}

// setAuthSecret comes after vrrp_version in the table.
func (o *Options) setAuthSecret(s string) string {
	switch s = strings.TrimSpace(s); {
	case s == "":
		return ""
	case o.Version != 2:
		return "empty unless vrrp_version is 2: VRRP version 3 has no authentication"
	case !isSecretURI(s):
		return "the URI of a secret as juju add-secret prints it, or empty"
	}
	o.AuthSecret = s
	return ""
}

// setAdvertInterval comes after vrrp_version in the table: the version bounds it.
func (o *Options) setAdvertInterval(raw any) string {
	set := func(o *Options, d time.Duration) { o.AdvertInterval = d }
	if o.Version == 2 {
		if seconds(1, 255, time.Millisecond, set)(o, raw) != "" || !IsInterval(2, o.AdvertInterval) {
			return "whole seconds in 1-255 while vrrp_version is 2"
		}
		return ""
	}
	return seconds(0.05, 40.95, 10*time.Millisecond, set)(o, raw)
}
