package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"

	"keepalived-charm/tests/lab"
)

// ready is what the server says once it takes commands.
const ready = "ready"

// up starts the server in the background, shows its progress and returns when it
// takes commands.
func up(ctx context.Context, charm string) error {
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("cannot start the lab: %w", err)
	}
	charm, err = filepath.Abs(charm)
	if err != nil {
		return fmt.Errorf("cannot start the lab: %w", err)
	}
	log, err := os.CreateTemp("", "keepalived-lab-*.log")
	if err != nil {
		return fmt.Errorf("cannot start the lab: %w", err)
	}
	r, w, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("cannot start the lab: %w", err)
	}
	cmd := exec.Command(self, "serve", "-charm", charm)
	cmd.Stdout, cmd.Stderr = w, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("cannot start the lab: %w", err)
	}
	w.Close()
	defer context.AfterFunc(ctx, func() { _ = cmd.Process.Signal(syscall.SIGTERM) })()
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		if lines.Text() == ready {
			fmt.Println("the lab is up; what it says goes to", log.Name())
			fmt.Println("for juju in a shell type:")
			return lab.Ask(os.Stdout, "shell")
		}
		fmt.Println(lines.Text())
	}
	_ = cmd.Wait()
	text, _ := os.ReadFile(log.Name())
	return errors.New(strings.TrimSpace(strings.TrimPrefix(string(text), "lab: ")))
}

// serve is the lab in the background: haproxy on three machines with keepalived,
// then whatever is asked.
func serve(ctx context.Context, charm string) error {
	listener, err := lab.Listen()
	if err != nil {
		return err
	}
	return with(ctx, lab.Options{Charm: charm, Progress: os.Stderr}, func(ctx context.Context, l *lab.Lab) error {
		if err := l.Standard(ctx, nil); err != nil {
			return err
		}
		fmt.Println(ready)
		return l.Serve(ctx, listener)
	})
}
