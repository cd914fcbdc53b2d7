package keepalived

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"keepalived-charm/internal/vrrp"
)

// State is the state of a VRRP instance in keepalived's numbering
// (vrrp.h, VRRP_STATE_*).
type State int

// The states an instance reports.
const (
	Init   State = 0
	Backup State = 1
	Master State = 2
	Fault  State = 3
)

// String returns keepalived's word for the state.
func (s State) String() string {
	switch s {
	case Init:
		return "INIT"
	case Backup:
		return "BACKUP"
	case Master:
		return "MASTER"
	case Fault:
		return "FAULT"
	}
	return fmt.Sprintf("state %d", int(s))
}

// InstanceState is what the daemon says about one VRRP instance.
type InstanceState struct {
	Name            string               `json:"iname"`
	Interface       string               `json:"ifp_ifname"`
	VirtualRouterID vrrp.VirtualRouterID `json:"vrid"`
	State           State                `json:"state"`
	// Base and Effective are this unit's priorities, without and with the track
	// file's adjustment.
	Base      vrrp.Priority `json:"base_priority"`
	Effective vrrp.Priority `json:"effective_priority"`
	// MasterPriority is the priority in the last advertisement received.
	MasterPriority vrrp.Priority `json:"master_priority"`
	// LastTransition is in seconds since 1970.
	LastTransition float64 `json:"last_transition"`
	// AddressErrors counts advertisements of the virtual router that carried other
	// addresses: those of strangers, as a rule.
	AddressErrors int `json:"-"`
	// Addresses are the virtual addresses of the configuration that the daemon
	// has read, in its order.
	Addresses []netip.Addr `json:"-"`
}

// ParseState reads the report that keepalived writes on its JSON signal: a list,
// or with json_version 2 the same list under "vrrp".
func ParseState(report []byte) ([]InstanceState, error) {
	type element struct {
		Data struct {
			InstanceState
			Addresses addresses `json:"vips"`
			Excluded  addresses `json:"evips"`
		} `json:"data"`
		Stats struct {
			AddressErrors int `json:"addr_list_err"`
		} `json:"stats"`
	}
	var list []element
	if err := json.Unmarshal(report, &list); err != nil {
		var wrapped struct {
			VRRP []element `json:"vrrp"`
		}
		if json.Unmarshal(report, &wrapped) != nil {
			return nil, fmt.Errorf("cannot read keepalived's state: %w", err)
		}
		list = wrapped.VRRP
	}
	states := make([]InstanceState, 0, len(list))
	for _, e := range list {
		s := e.Data.InstanceState
		s.Addresses = slices.Concat(e.Data.Addresses, e.Data.Excluded)
		s.AddressErrors = e.Stats.AddressErrors
		states = append(states, s)
	}
	return states, nil
}

// addresses reads strings such as "10.1.2.3/24 dev eth0 scope global set"; what
// looks otherwise is left out.
type addresses []netip.Addr

// UnmarshalJSON never fails on valid JSON.
func (list *addresses) UnmarshalJSON(text []byte) error {
	var all []any
	if json.Unmarshal(text, &all) != nil {
		return nil
	}
	for _, one := range all {
		s, _ := one.(string)
		word, _, _ := strings.Cut(s, " ")
		word, _, _ = strings.Cut(word, "/")
		if a, err := netip.ParseAddr(word); err == nil {
			*list = append(*list, a)
		}
	}
	return nil
}
