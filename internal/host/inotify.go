package host

import (
	"errors"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// exhausted returns the limit of inotify instances of a user (inotify(7)) when root has
// none left, 0 when there are. Without one keepalived does not read its track files.
func (h *Host) exhausted() int {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC)
	if err == nil {
		unix.Close(fd)
		return 0
	}
	if !errors.Is(err, unix.EMFILE) {
		return 0
	}
	text, err := os.ReadFile(h.setting("fs.inotify.max_user_instances"))
	if err != nil {
		return 1
	}
	limit, _ := strconv.Atoi(strings.TrimSpace(string(text)))
	return max(1, limit)
}
