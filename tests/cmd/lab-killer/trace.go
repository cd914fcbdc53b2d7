package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
)

// optExitKill has the kernel kill what is traced when the tracer dies
// (PTRACE_O_EXITKILL); package syscall does not name it.
const optExitKill = 0x100000

// tracee is a process or thread that is traced.
type tracee struct {
	// child is a process that the program started and that has not become another
	// program yet; else it is a thread of the program.
	child bool
	// program is what a child is about to become.
	program string
}

// tracer follows one program.
type tracer struct {
	main    int
	tracees map[int]*tracee
	count   *count
}

// trace runs a program and returns how it ended.
func trace(args []string, c *count) (syscall.WaitStatus, error) {
	p, err := os.StartProcess(args[0], args, &os.ProcAttr{
		Files: []*os.File{os.Stdin, os.Stdout, os.Stderr},
		Sys:   &syscall.SysProcAttr{Ptrace: true},
	})
	if err != nil {
		return 0, fmt.Errorf("cannot start %s: %w", args[0], err)
	}
	t := &tracer{main: p.Pid, tracees: map[int]*tracee{p.Pid: {}}, count: c}
	var status syscall.WaitStatus
	if _, err := syscall.Wait4(p.Pid, &status, syscall.WALL, nil); err != nil {
		return 0, fmt.Errorf("cannot trace %s: %w", args[0], err)
	}
	err = syscall.PtraceSetOptions(p.Pid, optExitKill|syscall.PTRACE_O_TRACESYSGOOD|syscall.PTRACE_O_TRACECLONE|
		syscall.PTRACE_O_TRACEFORK|syscall.PTRACE_O_TRACEVFORK|syscall.PTRACE_O_TRACEEXEC)
	if err == nil {
		err = syscall.PtraceSyscall(p.Pid, 0)
	}
	if err != nil {
		return 0, fmt.Errorf("cannot trace %s: %w", args[0], err)
	}
	return t.follow()
}

// follow passes everything on until the program has ended.
func (t *tracer) follow() (syscall.WaitStatus, error) {
	for {
		var status syscall.WaitStatus
		id, err := syscall.Wait4(-1, &status, syscall.WALL, nil)
		if err == syscall.EINTR {
			continue
		}
		if err != nil {
			return 0, fmt.Errorf("cannot wait for what is traced: %w", err)
		}
		if status.Exited() || status.Signaled() {
			delete(t.tracees, id)
			if id == t.main {
				return status, nil
			}
			continue
		}
		if err := t.stopped(id, status); err != nil {
			return 0, err
		}
	}
}

// stopped decides about a process or thread that stopped, and lets it go on.
func (t *tracer) stopped(id int, status syscall.WaitStatus) error {
	one := t.tracees[id]
	if one == nil {
		// Its first stop may be seen before the event that tells of it.
		one = &tracee{child: group(id) != t.main}
		t.tracees[id] = one
		return resume(id, 0)
	}
	signal := status.StopSignal()
	switch {
	case signal == syscall.SIGTRAP|0x80:
		if err := t.call(id, one); err != nil {
			return err
		}
	case signal == syscall.SIGTRAP && status.TrapCause() == syscall.PTRACE_EVENT_EXEC && one.child:
		delete(t.tracees, id)
		dies, err := t.count.pass("started " + one.program)
		if err != nil {
			return err
		}
		if dies {
			t.kill(t.main)
		}
		// The program that begins here goes on, whoever waits for it.
		if err := syscall.PtraceDetach(id); err != nil && err != syscall.ESRCH {
			return fmt.Errorf("cannot let %s go: %w", one.program, err)
		}
		return nil
	case signal == syscall.SIGTRAP, signal == syscall.SIGSTOP:
	default:
		return resume(id, signal)
	}
	return resume(id, 0)
}

// call looks at a system call that begins or ends.
func (t *tracer) call(id int, one *tracee) error {
	c, begins := callOf(id)
	if !begins {
		return nil
	}
	what := ""
	if one.child {
		if what = c.start(id); what != "" {
			one.program = strings.TrimPrefix(what, "start ")
		}
	} else {
		what = c.change(id)
	}
	if what == "" {
		return nil
	}
	dies, err := t.count.pass(what)
	if dies {
		t.kill(t.main)
		if one.child {
			t.kill(id)
		}
	}
	return err
}

// kill ends a process; that it has ended already is no fault.
func (t *tracer) kill(id int) { _ = syscall.Kill(id, syscall.SIGKILL) }

// resume lets a process go on to its next system call. One that was killed
// meanwhile does not.
func resume(id int, signal syscall.Signal) error {
	if err := syscall.PtraceSyscall(id, int(signal)); err != nil && err != syscall.ESRCH {
		return fmt.Errorf("cannot go on with process %d: %w", id, err)
	}
	return nil
}

// group is the process that a thread belongs to; 0 when it has ended.
func group(id int) int {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", id))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(line, "Tgid:"); ok {
			n, _ := strconv.Atoi(strings.TrimSpace(value))
			return n
		}
	}
	return 0
}
