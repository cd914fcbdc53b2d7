package host

import "time"

// Limit is how long a program may take.
func Limit(program string, args ...string) time.Duration { return limit(program, args...) }

// RunFor starts a program and ends it when it takes longer than that.
func RunFor(longest time.Duration, program string, args ...string) (string, error) {
	return New("/", "").runFor(longest, "", program, args...)
}

// ErrSilent is what AskSystemd returns of a systemd that takes longer than it may.
var ErrSilent = errSilent

// AskSystemd asks systemd for units.
func AskSystemd(limit time.Duration, socket string, units ...string) error {
	_, err := askSystemd(limit, socket, units...)
	return err
}

// The limits of everything else that a hook waits for.
const (
	QuickLimit, UnitLimit, JobLimit, AptLimit      = quickLimit, unitLimit, jobLimit, aptLimit
	ListsPatience, InstallPatience, RemovePatience = listsPatience, installPatience, removePatience
	ReportPatience                                 = reportPatience
	LongestElection                                = longestElection + startPatience
	UnpinMost, LongestYield                        = unpinMost, longestYield
	AskLimit, WatchEnd                             = askLimit, watchEnd
)
