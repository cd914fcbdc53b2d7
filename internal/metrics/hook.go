package metrics

import (
	"bytes"
	"encoding/json"
	"fmt"
	"time"

	"keepalived-charm/internal/vrrp"
)

// Finding is a kind of what is wrong at a unit, or around it.
type Finding string

// The findings.
const (
	OptionRefused  Finding = "option"
	RouterTaken    Finding = "router_id"
	AddressTaken   Finding = "address"
	HolderUnheard  Finding = "unheard"
	TwoHolders     Finding = "two_holders"
	OwnerSetting   Finding = "owner_setting"
	PacketFilter   Finding = "packet_filter"
	KernelSetting  Finding = "kernel_setting"
	CheckIgnored   Finding = "check_ignored"
	AddressLost    Finding = "address_lost"
	AddressStray   Finding = "address_stray"
	ServiceMasked  Finding = "masked"
	NoPeerRelation Finding = "no_peer_relation"
)

// Meaning says what a finding is.
func (f Finding) Meaning() string { return meanings[f] }

var meanings = map[Finding]string{
	OptionRefused:  "an option, or what it asks for, is refused; the options before go on",
	RouterTaken:    "somebody else advertises the virtual router ID",
	AddressTaken:   "somebody else answers at a virtual IP",
	HolderUnheard:  "another unit holds, its advertisements do not arrive here",
	TwoHolders:     "another unit holds beside this one",
	OwnerSetting:   "a setting of the machine's owner breaks a virtual IP",
	PacketFilter:   "keepalived's packet filter drops what is sent to a virtual IP",
	KernelSetting:  "a kernel setting that virtual IPs need is off",
	CheckIgnored:   "keepalived does not follow the health check",
	AddressLost:    "keepalived is MASTER, the kernel lacks a virtual IP",
	AddressStray:   "the kernel has a virtual IP, keepalived is not MASTER",
	ServiceMasked:  "keepalived.service is masked",
	NoPeerRelation: "the units do not know each other",
}

// Findings lists all kinds.
func Findings() []Finding {
	return []Finding{OptionRefused, RouterTaken, AddressTaken, HolderUnheard, TwoHolders, OwnerSetting, PacketFilter,
		KernelSetting, CheckIgnored, AddressLost, AddressStray, ServiceMasked, NoPeerRelation}
}

// HookVersion is that of what hooks tell; none of another is read.
const HookVersion = 1

// Hook is what a hook tells for the metrics: what only hooks know.
type Hook struct {
	// Version is HookVersion.
	Version int `json:"version"`
	// Findings counts what is wrong by kind.
	Findings map[Finding]int `json:"findings,omitempty"`
	// Moving tells that all units change what they share, Waiting that this unit waits for
	// another one for that, or before it takes part.
	Moving  bool `json:"moving,omitempty"`
	Waiting bool `json:"waiting,omitempty"`
	// Keepalived is the daemon's version, VRRPVersion and Mode are what it talks.
	Keepalived  string    `json:"keepalived,omitempty"`
	VRRPVersion int       `json:"vrrp_version,omitempty"`
	Mode        vrrp.Mode `json:"mode,omitempty"`
	// Bases are the base priorities of the instances, by name.
	Bases map[string]vrrp.Priority `json:"bases,omitempty"`
	// Reloads counts how often hooks had keepalived read its configuration, Configured is
	// when that was written last.
	Reloads    uint64    `json:"reloads,omitempty"`
	Configured time.Time `json:"configured,omitzero"`
}

// Encode returns a line of JSON.
func (h Hook) Encode() (string, error) {
	h.Version = HookVersion
	text, err := json.Marshal(h)
	if err != nil {
		return "", fmt.Errorf("cannot tell what this hook found: %w", err)
	}
	return string(text) + "\n", nil
}

// DecodeHook reads the line that Encode wrote; what follows it is a longer one's end.
func DecodeHook(text []byte) (Hook, error) {
	line, _, _ := bytes.Cut(text, []byte("\n"))
	var h Hook
	if err := json.Unmarshal(line, &h); err != nil {
		return Hook{}, err
	}
	if h.Version != HookVersion {
		return Hook{}, fmt.Errorf("it is of version %d, this revision of the charm reads version %d", h.Version, HookVersion)
	}
	return h, nil
}
