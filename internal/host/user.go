package host

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"keepalived-charm/internal/checker"
)

const passwdFile = "/etc/passwd"

// makeUser makes the user that the health checker becomes, one for all applications. Where
// that fails, or the name is somebody else's, it becomes nobody, and what serves goes on.
func (h *Host) makeUser() {
	passwd, err := os.ReadFile(h.path(passwdFile))
	if _, _, ours := checker.Account(string(passwd)); ours {
		return
	}
	if err == nil {
		// Its group is that of users without files, as adduser(8) has it.
		_, err = h.run("useradd", "--system", "--gid", "nogroup", "--comment", checker.UserComment, "--home-dir", checker.UserHome,
			"--no-create-home", "--shell", "/usr/sbin/nologin", checker.User)
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "the health checker runs as nobody: cannot make the user %s: %v\n", checker.User, err)
	}
}

// removeUser removes the user that the charm made; one of that name that is somebody else's,
// or whose processes still run, stays.
func (h *Host) removeUser() error {
	passwd, err := os.ReadFile(h.path(passwdFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("cannot look for the user %s: %w", checker.User, err)
	}
	if _, _, ours := checker.Account(string(passwd)); !ours {
		return nil
	}
	if _, err := h.run("userdel", checker.User); err != nil {
		fmt.Fprintf(os.Stderr, "the user %s stays: %v\n", checker.User, err)
	}
	return nil
}
