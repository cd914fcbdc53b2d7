package host

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"keepalived-charm/internal/layout"
)

// programFormat is the number of the format of what is remembered of the program: another
// one is read anew.
const programFormat = 1

// program is what the installed keepalived says of itself.
type program struct {
	// Version is empty while it is not installed, not to the end, or so that it cannot be
	// run: installPackage finds out.
	Version string `json:"version"`
	// Report is the signal on which it reports, 0 in one that was built without JSON.
	Report syscall.Signal `json:"report_signal"`
}

// remembered is what an earlier hook found out: a program says the same for as long as
// nothing that it is made of changes.
type remembered struct {
	Format int `json:"format"`
	program
	Files []fileState `json:"files"`
}

// fileState tells whether a file is still the same: whoever writes to one, replaces it or
// changes its mode changes the time at which its inode changed (inode(7)).
type fileState struct {
	Path    string `json:"path"`
	Device  uint64 `json:"device"`
	Inode   uint64 `json:"inode"`
	Size    int64  `json:"size"`
	Written int64  `json:"written"`
	Changed int64  `json:"changed"`
}

// program asks keepalived for its version and the signal of its reports, unless an earlier
// hook has. One that does not run just now is always asked, as the proof that it can.
func (h *Host) program(l layout.Layout, daemon service) program {
	if _, err := os.Stat(h.path(installingMark)); err == nil {
		return program{}
	}
	files := h.madeOf(daemon.pid)
	if p, ok := h.recall(l, files); ok {
		return p
	}
	p := program{Version: h.version()}
	if daemon.pid > 0 {
		p.Report = h.reportSignal()
	}
	// What changed meanwhile was not asked, and what failed once may do the next time. Where
	// nothing is kept yet, nothing is.
	if p.Version != "" && reports(p.Report) && len(files) > 0 && slices.Equal(files, h.madeOf(daemon.pid)) && missing(h.path(l.State())) == nil {
		if text, err := json.Marshal(remembered{programFormat, p, files}); err == nil {
			_ = h.write(l.Program(), string(text)+"\n", 0o600) // else it is asked again
		}
	}
	return p
}

// recall returns what is remembered of a program that is made of the given files.
func (h *Host) recall(l layout.Layout, files []fileState) (program, bool) {
	var r remembered
	text, err := os.ReadFile(h.path(l.Program()))
	if err != nil || json.Unmarshal(text, &r) != nil || r.Format != programFormat {
		return program{}, false
	}
	if len(files) == 0 || !slices.Equal(files, r.Files) || r.Version == "" || !reports(r.Report) {
		return program{}, false
	}
	return r.program, true
}

// reports tells whether keepalived may report on a signal: a real-time one (signal(7)). Any
// other could end it.
func reports(s syscall.Signal) bool { return s >= 34 && s <= 64 }

// madeOf is the state of all files that keepalived needs to run: the program on the PATH,
// its options, and the libraries that the daemon has loaded, by their names, whatever lies
// there now. It is empty where the daemon is another program or does not run.
func (h *Host) madeOf(pid int) []fileState {
	path, err := exec.LookPath(h.executable("keepalived"))
	if err != nil || pid <= 0 {
		return nil
	}
	if path, err = filepath.EvalSymlinks(path); err != nil {
		return nil
	}
	loaded := loadedFiles(pid)
	if !slices.Contains(loaded, path) {
		return nil
	}
	var files []fileState
	for _, f := range append(loaded, h.path(configOpts)) {
		files = append(files, stateOf(f))
	}
	return files
}

// loadedFiles lists what a process runs code from, itself included (proc_pid_maps(5)).
func loadedFiles(pid int) []string {
	text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "maps"))
	if err != nil {
		return nil
	}
	var files []string
	for line := range strings.Lines(string(text)) {
		address, file, found := strings.Cut(strings.TrimSpace(line), " /")
		fields := strings.Fields(address)
		if !found || len(fields) < 2 || !strings.Contains(fields[1], "x") {
			continue
		}
		file = "/" + strings.TrimSuffix(file, " (deleted)")
		if !slices.Contains(files, file) {
			files = append(files, file)
		}
	}
	slices.Sort(files) // the addresses differ from start to start
	return files
}

// stateOf is nothing but the path for a file that is not there.
func stateOf(path string) fileState {
	s := fileState{Path: path}
	if info, err := os.Stat(path); err == nil {
		if st, ok := info.Sys().(*syscall.Stat_t); ok {
			s.Device, s.Inode, s.Size = uint64(st.Dev), st.Ino, st.Size
			s.Written, s.Changed = st.Mtim.Nano(), st.Ctim.Nano()
		}
	}
	return s
}

// version asks keepalived; empty when it cannot be run.
func (h *Host) version() string {
	out, err := h.run("keepalived", "--version")
	if err != nil {
		return ""
	}
	for _, word := range strings.Fields(out) {
		if number, ok := strings.CutPrefix(word, "v"); ok {
			return number
		}
	}
	return ""
}

// reportSignal asks keepalived; 0 when it was built without JSON: the signal would kill it.
func (h *Host) reportSignal() syscall.Signal {
	out, err := h.run("keepalived", "--signum=JSON")
	number, convErr := strconv.Atoi(strings.TrimSpace(out))
	if err != nil || convErr != nil || !reports(syscall.Signal(number)) {
		return 0
	}
	return syscall.Signal(number)
}
