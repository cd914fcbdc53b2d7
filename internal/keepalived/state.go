package keepalived

import (
	"encoding/json"
	"fmt"

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
}

// ParseState reads the report that keepalived writes on its JSON signal: a list,
// or with json_version 2 the same list under "vrrp".
func ParseState(report []byte) ([]InstanceState, error) {
	type element struct {
		Data InstanceState `json:"data"`
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
		states = append(states, e.Data)
	}
	return states, nil
}
