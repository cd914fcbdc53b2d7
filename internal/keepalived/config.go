// Package keepalived is the charm's model of keepalived: the configuration it
// renders (keepalived.conf(5)) and the state that the daemon reports. It does no
// I/O.
package keepalived

import (
	"net/netip"
	"strconv"
	"time"

	"keepalived-charm/internal/vrrp"
	"keepalived-charm/templates"
)

// Main is the file that all applications of the charm on a machine share.
type Main struct {
	// Fragments is the directory with one fragment per application.
	Fragments string
}

// Render returns the text of keepalived.conf.
func (m Main) Render() (string, error) { return templates.Render("keepalived.conf", m) }

// Fragment is what one application adds.
type Fragment struct {
	Application string
	Instances   []VRRPInstance
}

// Render returns the fragment's text.
func (f Fragment) Render() (string, error) { return templates.Render("fragment.conf", f) }

// VRRPInstance is one vrrp_instance block with the track file that adjusts its
// priority. Every instance starts as BACKUP with plain pre-emption: the track
// file's value decides who holds (package vrrp).
type VRRPInstance struct {
	// Name stays the same between renders, so that keepalived sees a change of
	// an instance rather than another instance.
	Name            string
	Interface       string
	Version         int // 3 (RFC 9568); 2 (RFC 3768) comes with the upgrade in place
	VirtualRouterID vrrp.VirtualRouterID
	Priority        vrrp.Priority
	AdvertInterval  time.Duration
	TrackFile       string
	// Anchor is the one virtual address that advertisements carry.
	Anchor netip.Prefix
	// Others move with the anchor without being advertised
	// (virtual_ipaddress_excluded), so they may differ between units.
	Others []netip.Prefix
}

// Interval returns the advertisement interval in seconds, as advert_int takes it.
func (i VRRPInstance) Interval() string {
	return strconv.FormatFloat(i.AdvertInterval.Seconds(), 'f', -1, 64)
}
