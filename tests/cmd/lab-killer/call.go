package main

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"
	"unsafe"
)

// call is a system call with its arguments, of whatever architecture.
type call struct {
	number    uint64
	arguments [6]uint64
}

// callOf asks for the call at which a process stopped; false at its end
// (PTRACE_GET_SYSCALL_INFO, ptrace(2)).
func callOf(id int) (call, bool) {
	const request, entry = 0x420e, 1
	var info struct {
		op   uint8
		_    [3]uint8
		_    uint32
		_, _ uint64
		call
		_ [4]uint64
	}
	_, _, errno := syscall.Syscall6(syscall.SYS_PTRACE, request, uintptr(id), unsafe.Sizeof(info),
		uintptr(unsafe.Pointer(&info)), 0, 0)
	return info.call, errno == 0 && info.op == entry
}

// start names the program that a process is about to become; empty for any other
// call.
func (c call) start(id int) string {
	if c.number != syscall.SYS_EXECVE {
		return ""
	}
	return "start " + commandLine(id, c.arguments[0], c.arguments[1])
}

// commandLine shows the program and its first arguments.
func commandLine(id int, path, argv uint64) string {
	words := []string{text(id, path)}
	for n := uint64(1); n < 4; n++ {
		raw := memory(id, argv+n*8, 8)
		if len(raw) < 8 || binary.NativeEndian.Uint64(raw) == 0 {
			break
		}
		words = append(words, text(id, binary.NativeEndian.Uint64(raw)))
	}
	return strings.Join(words, " ")
}

// The calls with which a Go program changes files, by the argument that says which.
var changes = map[uint64]struct {
	name string
	path int
}{
	syscall.SYS_MKDIRAT:   {"mkdir", 1},
	syscall.SYS_UNLINKAT:  {"unlink", 1},
	syscall.SYS_RENAMEAT:  {"rename", 1},
	syscall.SYS_LINKAT:    {"link", 1},
	syscall.SYS_SYMLINKAT: {"symlink", 2},
	syscall.SYS_FCHMODAT:  {"chmod", 1},
	syscall.SYS_FCHOWNAT:  {"chown", 1},
}

// descriptors are the calls that change an open file.
var descriptors = map[uint64]string{
	syscall.SYS_WRITE:     "write",
	syscall.SYS_PWRITE64:  "write",
	syscall.SYS_FTRUNCATE: "truncate",
	syscall.SYS_FSYNC:     "fsync",
	syscall.SYS_FCHMOD:    "chmod",
	syscall.SYS_FCHOWN:    "chown",
}

// change describes a call that changes something; empty for any other.
func (c call) change(id int) string {
	if way, ok := changes[c.number]; ok {
		return way.name + " " + text(id, c.arguments[way.path])
	}
	if name, ok := descriptors[c.number]; ok {
		target, err := os.Readlink(fmt.Sprintf("/proc/%d/fd/%d", id, c.arguments[0]))
		if err != nil || !strings.HasPrefix(target, "/") || strings.HasPrefix(target, "/dev/") {
			return "" // a pipe, a socket
		}
		return name + " " + target
	}
	switch c.number {
	case syscall.SYS_OPENAT:
		path := text(id, c.arguments[1])
		if c.arguments[2]&(syscall.O_CREAT|syscall.O_TRUNC) != 0 && !strings.HasPrefix(path, "/dev/") {
			return "create " + path
		}
	case syscall.SYS_KILL:
		return fmt.Sprintf("send signal %d", c.arguments[1])
	case syscall.SYS_SENDTO:
		if kind := networkChange(memory(id, c.arguments[1], 6)); kind != "" {
			return kind
		}
	}
	return ""
}

// networkChange names a netlink message (rtnetlink(7)) that changes something.
func networkChange(head []byte) string {
	if len(head) < 6 {
		return ""
	}
	switch binary.NativeEndian.Uint16(head[4:]) {
	case syscall.RTM_NEWADDR:
		return "add an address"
	case syscall.RTM_DELADDR:
		return "delete an address"
	}
	return ""
}

// text reads a string from a process's memory.
func text(id int, address uint64) string {
	raw := memory(id, address, 256)
	if end := bytes.IndexByte(raw, 0); end >= 0 {
		raw = raw[:end]
	}
	return string(raw)
}

// memory reads as much as there is.
func memory(id int, address uint64, size int) []byte {
	f, err := os.Open(fmt.Sprintf("/proc/%d/mem", id))
	if err != nil {
		return nil
	}
	defer f.Close()
	raw := make([]byte, size)
	n, _ := f.ReadAt(raw, int64(address))
	return slices.Clip(raw[:n])
}
