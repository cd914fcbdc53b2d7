// Checker is the checker alone, for tests of a whole process.
package main

import (
	"context"
	"encoding/json"
	"log"
	"os"
	"os/signal"
	"syscall"

	"keepalived-charm/internal/checker"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	logger := log.New(os.Stderr, "", 0)
	if os.Args[1] == "once" {
		once(ctx, os.Args[2], logger)
		return
	}
	if err := checker.Run(ctx, os.Args[1], "test", logger); err != nil {
		logger.Fatal(err)
	}
}

// once prints the outcome of one check, and on standard error the rights that the
// process has by then.
func once(ctx context.Context, config string, logger *log.Logger) {
	outcome, err := checker.CheckOnce(ctx, config)
	if err != nil {
		logger.Fatal(err)
	}
	rights, err := os.ReadFile("/proc/self/status")
	if err != nil {
		logger.Fatal(err)
	}
	logger.Print(string(rights))
	if err := json.NewEncoder(os.Stdout).Encode(outcome); err != nil {
		logger.Fatal(err)
	}
}
