// Lab-killer runs a program, in the lab the charm's dispatch, and kills it at one
// point: before one of its system calls that change something, or before or right
// after one of the programs that it starts begins.
//
//	lab-killer PROGRAM ARGUMENT ...
//
// Without the file /run/lab-killer/at the program simply runs. The file's number says
// at which point to kill, 0 for nowhere; points are counted over all runs that follow,
// in /run/lab-killer/points, one line each.
package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
)

func main() {
	if err := run(os.Args[1:], "/run/lab-killer"); err != nil {
		fmt.Fprintln(os.Stderr, "lab-killer:", err)
		os.Exit(1)
	}
}

// run finds its orders in dir and keeps its count there.
func run(args []string, dir string) error {
	if len(args) == 0 {
		return errors.New("cannot run nothing: give a program and its arguments")
	}
	at, err := os.ReadFile(filepath.Join(dir, "at"))
	if errors.Is(err, fs.ErrNotExist) {
		return syscall.Exec(args[0], args, os.Environ())
	}
	if err != nil {
		return err
	}
	deadly, err := strconv.Atoi(strings.TrimSpace(string(at)))
	if err != nil {
		return fmt.Errorf("cannot read %s/at: %w", dir, err)
	}
	c, err := openCount(dir, deadly)
	if err != nil {
		return err
	}
	// Every request to a traced process must come from one thread (ptrace(2)).
	runtime.LockOSThread()
	status, err := trace(args, c)
	if err != nil {
		return err
	}
	if status.Signaled() {
		// Whoever started the program sees what became of it.
		if err := syscall.Kill(os.Getpid(), status.Signal()); err != nil {
			return err
		}
	}
	os.Exit(status.ExitStatus())
	return nil
}

// count is the list of points so far.
type count struct {
	points, deadly int
	out            *os.File
}

func openCount(dir string, deadly int) (*count, error) {
	path := filepath.Join(dir, "points")
	text, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("cannot count points: %w", err)
	}
	out, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("cannot count points: %w", err)
	}
	return &count{points: strings.Count(string(text), "\n"), deadly: deadly, out: out}, nil
}

// pass counts one point and tells whether it is the deadly one.
func (c *count) pass(what string) (dies bool, err error) {
	c.points++
	if _, err := fmt.Fprintln(c.out, strings.ReplaceAll(what, "\n", " ")); err != nil {
		return false, fmt.Errorf("cannot count points: %w", err)
	}
	return c.points == c.deadly, nil
}
