package checker

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// The calls of this file tell Go's scheduler nothing: told of a call, it wakes its monitor
// thread in case that the call waits, which costs several times what a call that does not
// wait costs. They are for files that are in memory or made up by the kernel, and for sockets
// that do not block.

// quickRead returns the beginning of a file, as much as there is room for in b; false where it
// cannot be read.
func quickRead(path string, b []byte) ([]byte, bool) {
	fd, errno := quickOpen(path, unix.O_RDONLY)
	if errno != 0 {
		return nil, false
	}
	defer quickClose(fd)
	n, errno := quickCall(unix.SYS_READ, fd, b)
	return b[:max(n, 0)], errno == 0
}

// quickOpen is openat(2).
func quickOpen(path string, flags int) (int, unix.Errno) {
	name, err := unix.BytePtrFromString(path)
	if err != nil {
		return -1, unix.EINVAL
	}
	here := unix.AT_FDCWD
	fd, _, errno := unix.RawSyscall6(unix.SYS_OPENAT, uintptr(here), uintptr(unsafe.Pointer(name)), uintptr(flags|unix.O_CLOEXEC|unix.O_NONBLOCK), 0, 0, 0)
	return int(fd), errno
}

func quickClose(fd int) { _, _, _ = unix.RawSyscall(unix.SYS_CLOSE, uintptr(fd), 0, 0) }

// quickSize is a file's size.
func quickSize(fd int) (int64, unix.Errno) {
	var st unix.Stat_t
	_, _, errno := unix.RawSyscall(unix.SYS_FSTAT, uintptr(fd), uintptr(unsafe.Pointer(&st)), 0)
	return st.Size, errno
}

// quickCall is read(2) or write(2).
func quickCall(trap uintptr, fd int, b []byte) (int, unix.Errno) {
	n, _, errno := unix.RawSyscall(trap, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)))
	return int(n), errno
}

// quickReceive is recvmsg(2): how much came of a packet and of what the kernel tells of it,
// and who sent it.
func quickReceive(fd int, packet, control []byte, from *unix.RawSockaddrAny) (n, oobn int, errno unix.Errno) {
	iov := unix.Iovec{Base: unsafe.SliceData(packet)}
	iov.SetLen(len(packet))
	message := unix.Msghdr{Name: (*byte)(unsafe.Pointer(from)), Namelen: unix.SizeofSockaddrAny, Iov: &iov, Control: unsafe.SliceData(control)}
	message.SetIovlen(1)
	message.SetControllen(len(control))
	got, _, errno := unix.RawSyscall(unix.SYS_RECVMSG, uintptr(fd), uintptr(unsafe.Pointer(&message)), 0)
	return int(got), int(message.Controllen), errno
}
