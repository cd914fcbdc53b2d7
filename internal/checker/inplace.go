package checker

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"keepalived-charm/internal/vrrp"
)

// inPlaceFile is a file that is always overwritten in place with the same number
// of bytes: a reader finds the old or the new text, never an empty file, and a
// full disk does not matter.
//
// Every write opens the file anew and closes it, as keepalived waits for
// IN_CLOSE_WRITE. It opens through /proc/self/fd, which needs the file's
// permission only: the directory is root's, closed to the user that the checker
// becomes and so to all else that runs as that user.
type inPlaceFile struct {
	path string
	fd   int
	link string // path of fd under /proc
}

// openInPlace opens or creates the file with this text, and gives it to owner.
// Missing directories are made for root alone.
func openInPlace(path, text string, owner identity) (*inPlaceFile, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("cannot make the directory of %s: %w", path, err)
	}
	fd, err := unix.Open(path, unix.O_RDWR|unix.O_CREAT|unix.O_NOFOLLOW|unix.O_CLOEXEC|unix.O_NONBLOCK, 0o600)
	if err != nil {
		return nil, fmt.Errorf("cannot open %s: %w", path, err)
	}
	f := &inPlaceFile{path: path, fd: fd, link: "/proc/self/fd/" + strconv.Itoa(fd)}
	if err := f.prepare(text, owner); err != nil {
		f.close()
		return nil, err
	}
	return f, nil
}

// prepare checks and fills what was opened.
func (f *inPlaceFile) prepare(text string, owner identity) error {
	var st unix.Stat_t
	if err := unix.Fstat(f.fd, &st); err != nil {
		return fmt.Errorf("cannot look at %s: %w", f.path, err)
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG {
		return fmt.Errorf("cannot use %s: it is not a regular file", f.path)
	}
	if int(st.Uid) != owner.uid || int(st.Gid) != owner.gid {
		if err := unix.Fchown(f.fd, owner.uid, owner.gid); err != nil {
			return fmt.Errorf("cannot give %s to user %d: %w", f.path, owner.uid, err)
		}
	}
	if st.Size > 0 {
		return nil
	}
	err := f.write(text)
	if err != nil {
		// Empty it would pass for one that was written.
		_ = unix.Unlink(f.path)
	}
	return err
}

func (f *inPlaceFile) close() { unix.Close(f.fd) }

// write puts text over the start of the file and cuts what is behind it.
func (f *inPlaceFile) write(text string) error {
	fd, errno := quickOpen(f.link, unix.O_WRONLY)
	if errno != 0 {
		return fmt.Errorf("cannot open %s for writing: %w", f.path, errno)
	}
	defer quickClose(fd)
	n, errno := quickCall(unix.SYS_WRITE, fd, []byte(text))
	if errno == 0 && n < len(text) {
		errno = unix.ENOSPC
	}
	var size int64
	if errno == 0 {
		size, errno = quickSize(fd)
	}
	var err error
	if errno != 0 {
		err = errno
	} else if size > int64(len(text)) {
		err = unix.Ftruncate(fd, int64(len(text)))
	}
	if err != nil {
		return fmt.Errorf("cannot write %s: %w", f.path, err)
	}
	return nil
}

// read returns the file's first bytes, far more than we write.
func (f *inPlaceFile) read() (string, error) {
	var b [4096]byte
	n, err := unix.Pread(f.fd, b[:], 0)
	if err != nil {
		return "", fmt.Errorf("cannot read %s: %w", f.path, err)
	}
	return string(b[:n]), nil
}

// replaced tells whether the path no longer leads to this file.
func (f *inPlaceFile) replaced() bool {
	var st unix.Stat_t
	return unix.Fstat(f.fd, &st) == nil && st.Nlink == 0
}

// trackText is a track file's text for a value, 6 bytes for every value.
func trackText(value int) string {
	return fmt.Sprintf("%-5d\n", value)
}

// trackValue reads what keepalived reads (strtol): the number at the start, 0 if
// there is none.
func trackValue(text string) int {
	text = strings.TrimLeft(text, " \t\n\v\f\r")
	end := 0
	for end < len(text) && (text[end] >= '0' && text[end] <= '9' || end == 0 && (text[0] == '-' || text[0] == '+')) {
		end++
	}
	v, err := strconv.Atoi(text[:end])
	if err != nil || v < vrrp.StepAside || v > vrrp.HealthyWeight+vrrp.HolderWeight {
		return 0
	}
	return v
}
