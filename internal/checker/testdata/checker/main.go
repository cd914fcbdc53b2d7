// Checker is the checker alone, for tests of a whole process.
package main

import (
	"context"
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
	if err := checker.Run(ctx, os.Args[1], logger); err != nil {
		logger.Fatal(err)
	}
}
