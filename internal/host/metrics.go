package host

import (
	"fmt"
	"os"
	"slices"
	"syscall"

	"keepalived-charm/internal/exporter"
	"keepalived-charm/internal/healthcheck"
	"keepalived-charm/internal/layout"
	"keepalived-charm/internal/metrics"
)

// Taken returns those of some ports of the loopback device that others have: who listens
// there, or another application of this charm, whose health checker may be down.
func (h *Host) Taken(l layout.Layout, ports []int) []int {
	var reserved []int
	neighbours, err := h.neighbours(l)
	if err != nil {
		fmt.Fprintln(os.Stderr, err) // it may be a neighbour's, which then keeps it
	}
	for application := range neighbours {
		text, err := os.ReadFile(h.path(layout.Layout{Application: application}.CheckerConfig()))
		if err != nil {
			continue
		}
		if c, err := healthcheck.Parse(text); err == nil {
			reserved = append(reserved, c.Metrics.Port)
		}
	}
	return slices.DeleteFunc(slices.Clone(ports), func(port int) bool {
		return !slices.Contains(reserved, port) && !exporter.Taken(port)
	})
}

// Report tells the health checker what a hook found, where one was started. It has the file
// open, so that is written in place.
func (h *Host) Report(l layout.Layout, found metrics.Hook) {
	if missing(h.path(l.CheckerConfig())) != nil || missing(h.path(l.Run())) != nil {
		return
	}
	if err := h.report(l, found); err != nil {
		fmt.Fprintf(os.Stderr, "cannot write %s, metrics are as old as the hook before: %v\n", l.HookFile(), err)
	}
}

func (h *Host) report(l layout.Layout, found metrics.Hook) error {
	path := h.path(l.HookFile())
	if info, err := os.Stat(h.path(l.Fragment())); err == nil {
		found.Configured = info.ModTime().UTC()
	}
	found.Reloads = h.reloads
	if text, err := os.ReadFile(path); err == nil {
		if before, err := metrics.DecodeHook(text); err == nil {
			found.Reloads += before.Reloads
		}
	}
	text, err := found.Encode()
	if err != nil {
		return err
	}
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return err
	}
	defer file.Close()
	// Whole lines only: who reads meanwhile finds the line before, or this one.
	if _, err := file.WriteAt([]byte(text), 0); err != nil {
		return err
	}
	h.reloads = 0
	return file.Truncate(int64(len(text)))
}
