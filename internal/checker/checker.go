// Package checker is the long-lived health checker: it checks the principal's
// service, watches the kernel's addresses, and writes what both mean for the
// election into one keepalived track file per VRRP instance (keepalived.conf(5),
// track_file with weight 1: the value is added to the base priority, a value
// below -253 puts the instance in FAULT).
//
// It fails safe: a checker that is killed, hung or starved leaves the files as
// they are, so it neither pins nor drops an address; one that starts keeps the
// files' verdict until it has reached its own.
package checker

import (
	"context"
	"log"
	"os"
	"runtime"
	"runtime/debug"
)

// Run checks what the configuration file at path says until ctx is done. As
// root it opens its files and then becomes an unprivileged user for good, so it
// owns the process: call it from a main program, once. A nil error means that
// ctx ended it; the track files then keep their values.
func Run(ctx context.Context, path string, log *log.Logger) error {
	// One small loop: a second processor and a large heap would only cost memory.
	runtime.GOMAXPROCS(1)
	debug.SetGCPercent(25)

	config, err := readConfig(path)
	if err != nil {
		return err
	}
	owner := ownIdentity()
	if os.Geteuid() == 0 {
		owner = unprivilegedIdentity()
	}
	loop, err := newLoop(config, owner, log)
	if err != nil {
		return err
	}
	defer loop.close()
	if os.Geteuid() == 0 {
		if err := owner.become(); err != nil {
			return err
		}
	}
	return loop.run(ctx)
}
