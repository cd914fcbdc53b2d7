package host

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"keepalived-charm/internal/applied"
	"keepalived-charm/internal/facts"
	"keepalived-charm/internal/keepalived"
	"keepalived-charm/internal/layout"
	"keepalived-charm/internal/status"
	"keepalived-charm/internal/step"
)

// test has keepalived test the configuration as it would be with the given files
// in place. Its exit status decides: what it remarks on a configuration that it
// passes is for the log.
func (h *Host) test(l layout.Layout, files []step.File) error {
	candidate := filepath.Join(l.State(), "candidate")
	defer os.RemoveAll(h.path(candidate))
	if err := os.RemoveAll(h.path(candidate)); err != nil {
		return fmt.Errorf("cannot test the configuration: %w", err)
	}
	main, err := h.compose(l, candidate, files)
	if err != nil {
		return err
	}
	said, err := h.configTest(h.path(main))
	exit := (*exec.ExitError)(nil)
	if err != nil && !errors.As(err, &exit) {
		return fmt.Errorf("cannot test the configuration: %w", err)
	}
	if err == nil {
		for _, line := range said {
			fmt.Fprintf(os.Stderr, "keepalived passes the configuration and remarks: %s\n", line)
		}
		return nil
	}
	if kept := h.foreign(); kept != "" && len(said) > 0 {
		// What keepalived says of the machine owner's configuration alone, it said
		// before the charm came. As there it is included: keepalived names the file of
		// what it remarks on then, and only then.
		alone := filepath.Join(candidate, "alone.conf")
		if err := h.write(alone, "include "+kept+"\n", 0o600); err != nil {
			return err
		}
		before, failed := h.configTest(h.path(alone))
		said = slices.DeleteFunc(said, func(line string) bool { return slices.Contains(before, line) })
		if failed != nil && len(said) == 0 {
			return nil
		}
	}
	if len(said) == 0 {
		said = []string{exit.Error()}
	}
	said[0] = strings.ReplaceAll(said[0], h.path(candidate, trackFiles), layout.RunRoot)
	return &status.Blocked{Message: "keepalived refuses the configuration, the last good one stays: " +
		strings.ReplaceAll(said[0], h.path(candidate), layout.ConfigDir)}
}

// trackFiles is where the track files of a candidate lie.
const trackFiles = "run"

// configTest returns what keepalived says about a configuration, by line.
func (h *Host) configTest(path string) ([]string, error) {
	test := []string{"--config-test", "--use-file", path}
	out, err := h.run("keepalived", test...)
	if terminated(err) {
		// 2.2.5 to 2.2.7 end their own test by SIGTERM before the verdict where a script of
		// the machine's owner has a user other than root.
		out, err = h.run("/bin/sh", append([]string{"-c", `trap "" TERM; exec "$@"`, "sh", h.executable("keepalived")}, test...)...)
	}
	var said []string
	for line := range strings.Lines(out) {
		if line = strings.TrimSpace(line); line != "" {
			said = append(said, line)
		}
	}
	return said, err
}

// terminated tells whether a program ended by SIGTERM, or says that another one did, as a
// shell does.
func terminated(err error) bool {
	exit := (*exec.ExitError)(nil)
	if !errors.As(err, &exit) {
		return false
	}
	status, ok := exit.Sys().(syscall.WaitStatus)
	return ok && (status.Signaled() && status.Signal() == syscall.SIGTERM || status.ExitStatus() == 128+int(syscall.SIGTERM))
}

// foreign is where a configuration from before the charm lies now; empty when
// there is none.
func (h *Host) foreign() string {
	files, err := h.read([]string{layout.MainFile, layout.ForeignFile})
	if err != nil {
		return ""
	}
	if _, ok := files[layout.ForeignFile]; ok {
		return h.path(layout.ForeignFile)
	}
	fragments, err := h.neighbours(layout.Layout{})
	if err == nil && len(fragments) == 0 && facts.Foreign(files[layout.MainFile]) {
		return h.path(layout.MainFile)
	}
	return ""
}

// included reads what a configuration from before the charm includes, and what that
// includes, as far as it can be read.
func (h *Host) included() map[string]string {
	const most, longest = 100, 1 << 20
	files := map[string]string{}
	main := h.foreign()
	text, err := readUpTo(main, longest)
	if err != nil {
		return files
	}
	within := func(name string) string { return strings.TrimPrefix(name, strings.TrimSuffix(h.root, "/")) }
	keepalived.Load(keepalived.Definitions{}, within(main), text, func(pattern string) map[string]string {
		found := map[string]string{}
		names, _ := filepath.Glob(h.path(pattern))
		for _, name := range names[:min(len(names), most)] {
			path := within(name)
			if !keepalived.Match(pattern, path) {
				continue
			}
			if strings.HasPrefix(path, layout.FragmentDir+"/") || path == layout.MainFile || path == layout.ForeignFile {
				continue
			}
			if text, err := readUpTo(name, longest); err == nil {
				found[path], files[path] = text, text
			}
		}
		return found
	})
	return files
}

// readUpTo reads the beginning of a regular file.
func readUpTo(path string, limit int64) (string, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return "", err
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return "", errors.New("not a regular file")
	}
	text, err := io.ReadAll(io.LimitReader(f, limit))
	return string(text), err
}

// tracks reads the track files of an application's instances. One that is not there
// says nothing.
func (h *Host) tracks(l layout.Layout, r applied.Record) map[string]int {
	values := map[string]int{}
	for number := range r.Routers {
		if value, err := h.trackValue(l.At(number).TrackFile()); err == nil {
			values[l.At(number).Instance()] = value
		}
	}
	return values
}

// compose writes the whole configuration below a candidate directory: the files
// to come, and the neighbours' fragments and the owner's files as they are.
func (h *Host) compose(l layout.Layout, candidate string, files []step.File) (string, error) {
	texts, err := h.read([]string{layout.MainFile, l.Fragment()})
	if err != nil {
		return "", err
	}
	neighbours, owners, err := h.beside(l)
	if err != nil {
		return "", err
	}
	maps.Copy(texts, owners)
	for application, text := range neighbours {
		texts[layout.Layout{Application: application}.Fragment()] = text
	}
	for _, f := range files {
		texts[f.Path] = f.Content
		if f.Remove {
			delete(texts, f.Path)
		}
	}
	delete(texts, layout.ForeignFile)
	for path, text := range texts {
		relative := strings.TrimPrefix(path, layout.ConfigDir)
		if path == layout.MainFile {
			if kept := h.foreign(); kept != "" {
				text = strings.ReplaceAll(text, "include "+layout.ForeignFile+"\n", "include "+kept+"\n")
			}
			text = strings.ReplaceAll(text, layout.FragmentDir, h.path(candidate, strings.TrimPrefix(layout.FragmentDir, layout.ConfigDir)))
		}
		if text, err = h.standIns(candidate, text); err != nil {
			return "", err
		}
		if err := h.write(filepath.Join(candidate, relative), text, 0o600); err != nil {
			return "", err
		}
	}
	return filepath.Join(candidate, filepath.Base(layout.MainFile)), nil
}

// standIns gives a candidate track files of its own: from 2.2.8 on keepalived refuses a
// track file whose directory is not there, and those of a unit, or of a neighbour after
// a boot, are made when keepalived starts. So a test leaves nothing that could be taken
// for the sign of a start.
func (h *Host) standIns(candidate, text string) (string, error) {
	const named = `file "` + layout.RunRoot + "/"
	place := filepath.Join(candidate, trackFiles)
	for line := range strings.Lines(text) {
		name, found := strings.CutPrefix(strings.TrimSpace(line), named)
		if !found {
			continue
		}
		if err := makeTrackFile(h.path(place, filepath.Clean("/"+strings.TrimSuffix(name, `"`))), 0); err != nil {
			return "", err
		}
	}
	return strings.ReplaceAll(text, named, `file "`+h.path(place)+"/"), nil
}

// reportPatience is how long keepalived may take to report on a busy machine. One that
// takes longer does nothing else either, and is about to be killed by the health
// checker.
const reportPatience = time.Second

// instances asks the daemon for its state. A daemon that cannot answer has none:
// the status then says so, and the hook goes on.
func (h *Host) instances(pid int, report syscall.Signal) []keepalived.InstanceState {
	if pid == 0 || report == 0 {
		return nil // built without JSON: a signal would kill it
	}
	reports := slices.DeleteFunc(reportFiles(pid), func(report string) bool { return !clearWay(report) })
	if len(reports) == 0 || syscall.Kill(pid, report) != nil {
		return nil
	}
	// The file stands there before it is written (measured: 2 ms, at worst 23).
	for end := time.Now().Add(reportPatience); time.Now().Before(end); {
		time.Sleep(3 * time.Millisecond)
		for _, report := range reports {
			text, err := readOwn(report)
			if err != nil {
				continue
			}
			if states, err := keepalived.ParseState(text); err == nil {
				os.Remove(report)
				return states
			}
		}
	}
	return nil
}

func missing(path string) error {
	_, err := os.Lstat(path)
	return err
}

// clearWay makes room for a report and tells whether there is some. Before 2.2.7 the
// report always goes to /tmp, where anybody may have put a directory of that name: it is
// moved aside, however much is in it.
func clearWay(report string) bool {
	err := os.Remove(report)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		err = os.Rename(report, fmt.Sprintf("%s.%d", report, time.Now().UnixNano()))
	}
	return err == nil || errors.Is(err, fs.ErrNotExist)
}

// reportFiles are where the daemon may write, as it sees the files: TMPDIR of its
// environment (from 2.2.7 on) or, whatever that says, /tmp.
func reportFiles(pid int) []string {
	process := filepath.Join("/proc", strconv.Itoa(pid))
	dirs := []string{"/tmp"}
	if environ, err := os.ReadFile(filepath.Join(process, "environ")); err == nil {
		for v := range strings.SplitSeq(string(environ), "\x00") {
			if d, ok := strings.CutPrefix(v, "TMPDIR="); ok && filepath.IsAbs(d) {
				dirs = append(dirs, d)
			}
		}
	}
	var files []string
	for _, d := range dirs {
		files = append(files, filepath.Join(process, "root", d, "keepalived.json"))
	}
	return files
}

// readOwn reads a regular file of root's: anybody may write in /tmp.
func readOwn(path string) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if st, ok := info.Sys().(*syscall.Stat_t); !ok || st.Uid != 0 || !info.Mode().IsRegular() {
		return nil, errors.New("not a regular file of root")
	}
	return io.ReadAll(io.LimitReader(f, 16<<20))
}
