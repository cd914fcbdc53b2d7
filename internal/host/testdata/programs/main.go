// Programs is systemctl, keepalived, apt-get, dpkg, dpkg-deb, dpkg-query and others for the
// tests of package host, by the name of the link that starts it: the tests' own binary would
// take ten times as long to start. What the programs say and did lies in files beside the link,
// which is in usr/bin of a machine's root.
package main

import (
	"cmp"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

func main() {
	program := filepath.Base(os.Args[0])
	switch program {
	case "daemon":
		number, err := strconv.Atoi(os.Args[1])
		if err != nil {
			panic(err)
		}
		daemon(number)
	case "holder":
		holder(os.Args[1])
		return
	}
	dir := beside()
	f, err := os.OpenFile(filepath.Join(dir, "calls"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		panic(err)
	}
	for n, a := range os.Args { // what a link in a directory that is gone by then leads to
		if file, err := os.Readlink(a); n > 0 && err == nil {
			a = file
		}
		fmt.Fprint(f, map[bool]string{true: program, false: " " + a}[n == 0])
	}
	fmt.Fprintln(f)
	s := programs{dir}
	switch program {
	case "systemctl":
		os.Exit(s.systemctl(os.Args[1:]))
	case "keepalived":
		os.Exit(s.keepalived(os.Args[1:]))
	case "dpkg-query": // only states are asked of it
		os.Exit(s.dpkgQuery(os.Args[1:]))
	case "dpkg": // only --configure and --print-architecture are asked of it
		if os.Args[1] == "--print-architecture" {
			fmt.Println("amd64")
			return
		}
		_ = os.Remove(s.path("interrupted"))
		return
	case "dpkg-deb": // only --field and --extract are asked of it
		os.Exit(s.dpkgDeb(os.Args[1:]))
	case "useradd":
		os.Exit(s.useradd(os.Args[1:]))
	case "userdel":
		os.Exit(s.userdel(os.Args[1]))
	}
	os.Exit(s.apt(os.Args[1:]))
}

// beside is where the link lies that started the program.
func beside() string { return filepath.Dir(os.Args[0]) }

// daemon writes a report when it gets that signal: like keepalived it
// has the file there before the text. In a root of its own it heeds no TMPDIR, as
// before 2.2.7.
func daemon(number int) {
	dir := os.Getenv("TMPDIR")
	asked, err := os.OpenFile(filepath.Join(beside(), "asked"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		panic(err)
	}
	if root := os.Getenv("FAKE_ROOT"); root != "" {
		if err := syscall.Chroot(root); err != nil {
			panic(err)
		}
		dir = "/tmp"
	}
	inotify, err := syscall.InotifyInit1(syscall.IN_CLOEXEC)
	if err != nil {
		panic(err)
	}
	watch := func() {
		if (programs{beside()}).says("unwatched") == "" {
			_, _ = syscall.InotifyAddWatch(inotify, os.Getenv("FAKE_TRACKS"), syscall.IN_CLOSE_WRITE) // there may be none yet
		}
	}
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.Signal(number), syscall.SIGHUP)
	fmt.Println("ready")
	for s := range signals {
		if s == syscall.SIGHUP {
			if err := os.WriteFile(filepath.Join(beside(), "read"), []byte("again"), 0o600); err != nil {
				panic(err)
			}
			continue
		}
		if _, err := asked.WriteString("."); err != nil {
			panic(err)
		}
		watch()
		name := filepath.Join(dir, "keepalived.json")
		report := programs{beside()}.says("report")
		if report == "" {
			report = `[{"data":{"iname":"charm_keepalived","state":2,"vips":["10.10.74.250 dev eth0 scope global set"]}}]`
		}
		for _, text := range []string{"", report[:len(report)/2], report} {
			if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
				panic(err)
			}
			time.Sleep(20 * time.Millisecond)
		}
	}
}

// holder has a file locked, as apt and dpkg do, until its input ends.
func holder(file string) {
	f, err := os.OpenFile(file, os.O_RDWR|os.O_CREATE, 0o640)
	if err == nil {
		err = syscall.FcntlFlock(f.Fd(), syscall.F_SETLK, &syscall.Flock_t{Type: syscall.F_WRLCK})
	}
	if err != nil {
		panic(err)
	}
	fmt.Println("ready")
	_, _ = io.Copy(io.Discard, os.Stdin)
}

// programs is the state of the fake programs.
type programs struct{ dir string }

func (p programs) path(elements ...string) string {
	return filepath.Join(append([]string{p.dir}, elements...)...)
}

// says returns the content of a state file, empty when there is none.
func (p programs) says(name string) string {
	text, _ := os.ReadFile(p.path(name))
	return string(text)
}

func (p programs) systemctl(args []string) int {
	if args[0] == "show" && args[1] == "--property=NRestarts" {
		fmt.Println(p.says("restarts"))
		return 0
	}
	if args[0] == "show" {
		for n, name := range args[2:] {
			if n > 0 {
				fmt.Println()
			}
			state, pid, _ := strings.Cut(p.says(name), " ")
			if state == "" {
				state, pid = "inactive", "0"
			}
			fmt.Printf("MainPID=%s\nId=%s\nActiveState=%s\nUnitFileState=%s\n", pid, name, state, p.says(name+".file"))
		}
		return 0
	}
	if name := args[len(args)-1]; strings.HasPrefix(p.says(name+".file"), "masked") && slices.Contains([]string{"enable", "start", "restart", "reload-or-restart"}, args[0]) {
		fmt.Fprintf(os.Stderr, "Failed to %s %s: Unit %s is masked.\n", args[0], name, name)
		return 1
	}
	if failing := strings.Fields(p.says("failing")); slices.Contains(failing, args[0]) || slices.Contains(failing, args[len(args)-1]) {
		fmt.Fprintf(os.Stderr, "Failed to %s: Access denied\n", args[0])
		return 1
	}
	return 0
}

func (p programs) keepalived(args []string) int {
	if needs := p.says("needs"); needs != "" {
		if _, err := os.Stat(needs); err != nil {
			fmt.Fprintln(os.Stderr, "Unable to read build config options file")
			return 1
		}
	}
	switch args[0] {
	case "--version":
		fmt.Fprintln(os.Stderr, "Keepalived v2.2.7 (01/16,2022)\n\nCopyright")
	case "--signum=JSON":
		fmt.Println(p.says("signum"))
	case "--config-test":
		file := args[2]
		text, err := os.ReadFile(file)
		if err != nil {
			return 2
		}
		included, status := "", 0
		// Like keepalived 2.2.7 it names a file that is included, not the first one.
		remark := func(text []byte, place string) {
			n := 0
			for line := range strings.Lines(string(text)) {
				if n++; strings.HasPrefix(line, "odd ") {
					fmt.Fprintf(os.Stderr, "(%sLine %d) warning: %s", place, n, line)
					status = 5
				}
			}
		}
		remark(text, "")
		for line := range strings.Lines(string(text)) {
			if pattern, found := strings.CutPrefix(strings.TrimSpace(line), "include "); found {
				names, _ := filepath.Glob(pattern)
				for _, n := range names {
					more, _ := os.ReadFile(n)
					included += string(more)
					remark(more, n+": ")
				}
			}
		}
		if err := os.WriteFile(p.path("tested"), []byte(string(text)+included), 0o600); err != nil {
			panic(err)
		}
		// From 2.2.8 on.
		for line := range strings.Lines(string(text) + included) {
			name, found := strings.CutPrefix(strings.TrimSpace(line), `file "`)
			if _, err := filepath.EvalSymlinks(filepath.Dir(name)); found && err != nil {
				fmt.Fprintf(os.Stderr, "(%s) realpath() error %d - %s\n", file, syscall.ENOENT, name)
				return 5
			}
		}
		if refusal := p.says("refusal"); refusal != "" {
			fmt.Fprintln(os.Stderr, strings.ReplaceAll(refusal, "FILE", file))
		}
		if p.says("status") != "" {
			return 5
		}
		return status
	}
	return 0
}

func (p programs) dpkgQuery(args []string) int {
	state := p.says("package")
	if args[len(args)-1] != "keepalived" {
		fmt.Print("installed libc6\nconfig-files libsnmp40\n")
		return 0
	}
	if state == "" {
		fmt.Fprintln(os.Stderr, "dpkg-query: no packages found matching keepalived")
		return 1
	}
	fmt.Print(state)
	return 0
}

// dpkgDeb shows the control file that a package begins with, or extracts the one package that
// there is.
func (p programs) dpkgDeb(args []string) int {
	text, err := os.ReadFile(args[1])
	if args[0] == "--field" {
		if err != nil || !strings.HasPrefix(string(text), "Package: ") {
			fmt.Fprintf(os.Stderr, "dpkg-deb: error: '%s' is not a Debian format archive\n", args[1])
			return 2
		}
		fmt.Print(string(text))
		return 0
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "dpkg-deb: error: failed to read archive")
		return 2
	}
	file := filepath.Join(args[2], "etc/keepalived/keepalived.config-opts")
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		panic(err)
	}
	if err := os.WriteFile(file, text, 0o644); err != nil {
		panic(err)
	}
	return 0
}

func (p programs) apt(args []string) int {
	if slices.Contains(args, p.says("apt-locks")) {
		f, err := os.Open(p.path("lock"))
		if err != nil {
			panic(err)
		}
		held := syscall.Flock_t{Type: syscall.F_WRLCK}
		if err := syscall.FcntlFlock(f.Fd(), syscall.F_GETLK, &held); err != nil {
			panic(err)
		}
		if held.Type != syscall.F_UNLCK {
			fmt.Fprintf(os.Stderr, "E: Could not get lock %s. It is held by process %d (holder)\nE: Unable to lock directory %s\n", f.Name(), held.Pid, p.dir)
			return 100
		}
	}
	if slices.Contains(args, p.says("apt-fails")) {
		fmt.Fprintln(os.Stderr, cmp.Or(p.says("apt-says"), "E: Unable to fetch some archives, maybe run apt-get update or try with --fix-missing?"))
		return 100
	}
	if slices.Contains(args, "download") {
		if err := os.WriteFile("keepalived_1%3a2.3.3-1_amd64.deb", []byte("--build=x86_64-linux-gnu"), 0o600); err != nil {
			panic(err)
		}
	}
	if slices.Contains(args, "install") && p.says("interrupted") != "" {
		fmt.Fprintln(os.Stderr, "E: dpkg was interrupted, you must manually run 'dpkg --configure -a' to correct the problem.")
		return 100
	}
	if slices.Contains(args, "install") {
		if err := os.WriteFile(p.path("package"), []byte("installed"), 0o600); err != nil {
			panic(err)
		}
	}
	return 0
}

// passwd is the machine's file, with its lines.
func passwd() (file string, lines []string) {
	file = filepath.Join(beside(), "../../etc/passwd")
	text, err := os.ReadFile(file)
	if err != nil {
		panic(err)
	}
	return file, strings.SplitAfter(string(text), "\n")
}

func (p programs) useradd(args []string) int {
	name, values := args[len(args)-1], map[string]string{}
	for n, a := range args[:len(args)-1] {
		values[a] = args[n+1]
	}
	file, lines := passwd()
	if slices.ContainsFunc(lines, func(l string) bool { return strings.HasPrefix(l, name+":") }) {
		fmt.Fprintf(os.Stderr, "useradd: user '%s' already exists\n", name)
		return 9
	}
	line := fmt.Sprintf("%s:x:997:65534:%s:%s:%s\n", name, values["--comment"], values["--home-dir"], values["--shell"])
	if err := os.WriteFile(file, []byte(strings.Join(lines, "")+line), 0o600); err != nil {
		panic(err)
	}
	return 0
}

func (p programs) userdel(name string) int {
	if p.says("busy-user") != "" {
		fmt.Fprintf(os.Stderr, "userdel: user %s is currently used by process 4711\n", name)
		return 8
	}
	file, lines := passwd()
	lines = slices.DeleteFunc(lines, func(l string) bool { return strings.HasPrefix(l, name+":") })
	if err := os.WriteFile(file, []byte(strings.Join(lines, "")), 0o600); err != nil {
		panic(err)
	}
	return 0
}
