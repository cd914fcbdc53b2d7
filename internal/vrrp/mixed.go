package vrrp

// MixedBase is the base priority of every unit while units of the Python charm
// are left in the group (Policy.Mixed). It is the one of that charm's units that
// do not lead; theirs come out as
//
//	100 and 101 (the leader) while the check fails
//	102 and 103 (the leader) while it passes
//
// and the bands of this package have to fit in between, or a unit that was
// upgraded would take the addresses from one that was not, or keep them although
// it is sick:
//
//	100 sick standby     pre-empts nobody
//	101 sick holder      yields to every healthy unit and to no sick one
//	102 healthy standby  pre-empts every sick holder and no healthy one, held
//	                     back or not
//	154 healthy holder   is pre-empted by nobody
//
// Equal priorities do not pre-empt (RFC 3768 section 6.4.2). Ranks find no room:
// standbys whose timers run out together are told apart by their addresses.
const MixedBase Priority = 100

// What a unit's condition adds to MixedBase.
const (
	mixedSickHolder     = 1
	mixedHealthyStandby = 2
	mixedHealthyHolder  = mixedHealthyStandby + HolderWeight
)

func mixedAdjustment(healthy, holder bool) int {
	switch {
	case healthy && holder:
		return mixedHealthyHolder
	case healthy:
		return mixedHealthyStandby
	case holder:
		return mixedSickHolder
	}
	return 0
}

// Healthy tells whether an adjustment is that of a unit whose service works, under
// whatever policy it was made.
func Healthy(adjustment int) bool {
	return adjustment >= HeldBackWeight || adjustment == mixedHealthyStandby || adjustment == mixedHealthyHolder
}
