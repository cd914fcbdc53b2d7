// Command keepalived-charm is the charm's one binary: Juju runs it for every hook
// and action, systemd runs it as health checker.
package main

import (
	"errors"
	"fmt"
	"os"

	"keepalived-charm/internal/checker"
	"keepalived-charm/internal/host"
)

// version is set by the Makefile.
var version = "unknown"

func main() {
	if err := run(os.Args, os.Getenv); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		if errors.Is(err, checker.ErrStuck) {
			os.Exit(checker.StuckStatus)
		}
		if errors.Is(err, checker.ErrOrphaned) {
			os.Exit(checker.OrphanedStatus)
		}
		if errors.Is(err, checker.ErrReplaced) {
			os.Exit(checker.ReplacedStatus)
		}
		if errors.Is(err, checker.ErrLacking) {
			os.Exit(checker.LackingStatus)
		}
		if errors.Is(err, host.ErrUnprepared) {
			os.Exit(host.UnpreparedStatus)
		}
		os.Exit(1)
	}
}
