// Command keepalived-charm is the charm's one binary: Juju runs it for every hook
// and action, systemd runs it as health checker.
package main

import (
	"fmt"
	"os"
)

// version is set by the Makefile.
var version = "unknown"

func main() {
	if err := run(os.Args, os.Getenv); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}
