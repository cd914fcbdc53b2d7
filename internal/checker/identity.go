package checker

import (
	"fmt"
	"os"
	"os/user"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// identity is a user and its group.
type identity struct {
	uid, gid int
}

// ownIdentity is that of this process.
func ownIdentity() identity {
	return identity{uid: os.Geteuid(), gid: os.Getegid()}
}

// unprivilegedIdentity is the user nobody: 65534 where none is listed, which is
// the kernel's overflow user.
func unprivilegedIdentity() identity {
	id := identity{uid: 65534, gid: 65534}
	u, err := user.Lookup("nobody")
	if err != nil {
		return id
	}
	uid, err1 := strconv.Atoi(u.Uid)
	gid, err2 := strconv.Atoi(u.Gid)
	if err1 == nil && err2 == nil && uid > 0 && gid > 0 {
		id = identity{uid: uid, gid: gid}
	}
	return id
}

// become gives up root for good: no capability is left (capabilities(7): they
// go when all user IDs leave 0), and no program it might start gains any.
func (id identity) become() error {
	if err := syscall.Setgroups(nil); err != nil {
		return fmt.Errorf("cannot give up supplementary groups: %w", err)
	}
	if err := syscall.Setresgid(id.gid, id.gid, id.gid); err != nil {
		return fmt.Errorf("cannot become group %d: %w", id.gid, err)
	}
	if err := syscall.Setresuid(id.uid, id.uid, id.uid); err != nil {
		return fmt.Errorf("cannot become user %d: %w", id.uid, err)
	}
	// On every thread, as the calls above; a binary with cgo cannot.
	_, _, errno := syscall.AllThreadsSyscall6(syscall.SYS_PRCTL, unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0, 0)
	if errno != 0 {
		return fmt.Errorf("cannot set no_new_privs: %w", errno)
	}
	return nil
}
