package checker

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// User is the user that the checker becomes, which the charm makes for it. It is known by
// its comment and its home: somebody else's of that name is not taken for it.
const (
	User        = "keepalived-charm"
	UserComment = "Juju charm keepalived"
	UserHome    = "/nonexistent"
)

// Account looks the user up in the text of /etc/passwd (passwd(5)); false where it is not
// there, or is root or somebody else's.
func Account(passwd string) (uid, gid int, ours bool) {
	for line := range strings.Lines(passwd) {
		f := strings.Split(strings.TrimSpace(line), ":")
		if len(f) != 7 || f[0] != User {
			continue
		}
		uid, uidErr := strconv.Atoi(f[2])
		gid, gidErr := strconv.Atoi(f[3])
		return uid, gid, uidErr == nil && gidErr == nil && uid > 0 && gid > 0 && f[4] == UserComment && f[5] == UserHome
	}
	return 0, 0, false
}

// identity is a user and its group.
type identity struct {
	uid, gid int
}

// ownIdentity is that of this process.
func ownIdentity() identity {
	return identity{uid: os.Geteuid(), gid: os.Getegid()}
}

// overflow is the user nobody, Debian's and Ubuntu's, and the kernel's overflow user.
var overflow = identity{uid: 65534, gid: 65534}

// unprivilegedIdentity is the user made for the checker, and nobody where there is none: a
// machine without it is checked all the same.
func unprivilegedIdentity() identity {
	passwd, err := os.ReadFile("/etc/passwd")
	if err != nil {
		return overflow
	}
	if uid, gid, ours := Account(string(passwd)); ours {
		return identity{uid: uid, gid: gid}
	}
	return overflow
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
