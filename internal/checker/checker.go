// Package checker is the long-lived health checker: it checks the principal's
// service, watches the kernel's addresses, and writes what both mean for the
// election into one keepalived track file per VRRP instance (keepalived.conf(5),
// track_file with weight 1: the value is added to the base priority, a value
// below -253 puts the instance in FAULT).
//
// One loop (loop.go) joins its parts, of which most do no I/O and can be read alone:
//
//	probe     one check of the service: probe.go and probe_*.go, aim.go, sockdiag.go
//	verdict   what the checks mean: judge.go, round.go, health.go, damping.go, hint.go
//	election  what the verdict and the holders mean for a track file: election.go, aside.go,
//	          source.go, tracks.go, inplace.go
//	watch     what the machine does: addresses.go, links.go, and keepalived: daemon.go, lacking.go,
//	          replaced.go
//	hear      what others send and answer: advert.go, hearing.go, asker.go
//	journal   what happened and why: chronicle.go, causes.go, journal.go
//	tell      what hooks and collectors may know: report.go, status.go, news.go, scrape.go
//	obey      what root orders: orders.go
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
	"time"
)

// Run checks what the configuration file at path says until ctx is done. As
// root it opens its files and then becomes an unprivileged user for good, so it
// owns the process: call it from a main program, once. A nil error means that
// ctx ended it; the track files then keep their values. version is the charm's.
func Run(ctx context.Context, path, version string, log *log.Logger) error {
	// One small loop: a second processor and a large heap would only cost memory.
	runtime.GOMAXPROCS(1)
	debug.SetGCPercent(25)

	owner := ownIdentity()
	if os.Geteuid() == 0 {
		owner = unprivilegedIdentity()
	}
	loop, err := open(ctx, path, version, owner, log)
	if err != nil || loop == nil {
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

// What keeps a checker from starting, such as a file that is gone, may last: systemd would
// start it ten times a second, with a line in the log for each.
const (
	firstPause   = 100 * time.Millisecond
	longestPause = 30 * time.Second
	// startPatience is how long a hook waits for one that cannot start.
	startPatience = 3 * time.Second
)

// open opens what the checker needs. Under systemd it tries again and again, ever more rarely,
// says why once, and gives signs of life; nil when ctx ended that.
func open(ctx context.Context, path, version string, owner identity, log *log.Logger) (*loop, error) {
	systemd := newServiceManager()
	defer systemd.close()
	began, said, ready := time.Now(), "", false
	for pause := firstPause; ; pause = min(2*pause, longestPause) {
		config, err := readConfig(path)
		if err == nil {
			var l *loop
			if l, err = newLoop(config, version, owner, log); err == nil {
				return l, nil
			}
		}
		if os.Getenv("NOTIFY_SOCKET") == "" {
			return nil, err
		}
		if err.Error() != said {
			said = err.Error()
			log.Printf("cannot start, trying again: %v", err)
			systemd.status("cannot start: " + oneLine(err))
		}
		for end := time.Now().Add(pause); time.Now().Before(end); {
			now := time.Now()
			if !ready && now.Sub(began) >= startPatience {
				systemd.ready()
				ready = true
			}
			systemd.alive(now)
			select {
			case <-ctx.Done():
				return nil, nil
			case <-time.After(min(firstPause, time.Until(end))):
			}
		}
	}
}
