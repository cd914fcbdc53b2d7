// Command faketools stands in for the programs that a hook starts: Juju's hook
// tools, systemctl and keepalived. Which one it is tells the name it was started
// by; its state lies in /fake. As "measure" it runs a program and prints what that
// cost, as keepalived without arguments it is the daemon.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
	"gopkg.in/yaml.v3"
)

func main() {
	name, args := filepath.Base(os.Args[0]), os.Args[1:]
	if name == "measure" {
		measure(args)
		return
	}
	if name == "keepalived" && len(args) == 0 {
		daemon()
	}
	answer(name, args)
	log(name, args)
}

// answer does what the program would.
func answer(name string, args []string) {
	switch name {
	case "relation-ids":
		show(name + "-" + args[1])
	case "relation-list":
		show(name + "-" + args[2])
	case "relation-get":
		show(databag(args[2], args[4]))
	case "relation-set":
		publish(args[1])
	case "systemctl":
		systemctl(args)
	case "keepalived":
		switch args[0] {
		case "--version":
			fmt.Fprintln(os.Stderr, "Keepalived v2.2.7 (01/16,2022)")
		case "--signum=JSON":
			fmt.Println(int(reports))
		}
	case "status-set":
		status, err := json.Marshal(map[string]any{"status": args[0], "message": args[1], "status-data": map[string]any{}})
		if err == nil {
			err = os.WriteFile("/fake/status-get", status, 0o600)
		}
		if err != nil {
			fail(err)
		}
	default:
		show(name)
	}
}

func databag(relation, unit string) string {
	return "bag-" + relation + "-" + strings.ReplaceAll(unit, "/", "-")
}

func show(name string) {
	text, err := os.ReadFile("/fake/" + name)
	if err != nil && !os.IsNotExist(err) {
		fail(err)
	}
	os.Stdout.Write(text)
}

// publish changes keepalived/0's databag.
func publish(relation string) {
	file := "/fake/" + databag(relation, "keepalived/0")
	bag, changes := map[string]string{}, map[string]string{}
	text, err := os.ReadFile(file)
	if err == nil {
		err = json.Unmarshal(text, &bag)
	}
	if err == nil {
		text, err = io.ReadAll(os.Stdin)
	}
	if err == nil {
		err = yaml.Unmarshal(text, &changes)
	}
	for k, v := range changes {
		if bag[k] = v; v == "" {
			delete(bag, k)
		}
	}
	if err == nil {
		text, err = json.Marshal(bag)
	}
	if err == nil {
		err = os.WriteFile(file, text, 0o600)
	}
	if err != nil {
		fail(err)
	}
}

func systemctl(args []string) {
	last := args[len(args)-1]
	switch args[0] {
	case "start", "restart", "reload-or-restart":
		if err := start(last); err != nil {
			fail(err)
		}
	case "stop":
		if err := os.Remove(active + last); err != nil {
			fail(err)
		}
	}
}

// active begins the name of the file of a service that runs, with the ID of its process
// where it has one.
const active = "/fake/active-"

// start starts a service, and has keepalived read its configuration when it runs.
func start(service string) error {
	if service != "keepalived.service" {
		return os.WriteFile(active+service, nil, 0o600)
	}
	if text, err := os.ReadFile(active + service); err == nil {
		pid, err := strconv.Atoi(string(text))
		if err == nil {
			err = syscall.Kill(pid, syscall.SIGHUP)
		}
		return err
	}
	cmd := exec.Command("/tools/keepalived")
	cmd.Env = []string{}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return err
	}
	for range 1000 {
		if _, err := os.Stat(active + service); err == nil {
			return nil
		}
		time.Sleep(10 * time.Millisecond)
	}
	return errors.New("keepalived does not start")
}

// reports is the signal on which the daemon reports.
const reports = syscall.Signal(36)

// daemon is MASTER of every instance that was configured when it read its configuration
// last, and holds its addresses.
func daemon() {
	signals := make(chan os.Signal, 10)
	signal.Notify(signals, reports, syscall.SIGHUP)
	report := configured()
	started := active + "keepalived.service"
	err := os.WriteFile(started+".new", []byte(strconv.Itoa(os.Getpid())), 0o600)
	if err == nil {
		err = os.Rename(started+".new", started)
	}
	for err == nil {
		if <-signals == syscall.SIGHUP {
			report = configured()
			continue
		}
		err = os.WriteFile("/tmp/keepalived.json", report, 0o600)
	}
	fail(err)
}

// configured is the report on the charm's configuration.
func configured() []byte {
	text, err := os.ReadFile("/etc/keepalived/charm.d/keepalived.conf")
	if err != nil {
		fail(err)
	}
	since := float64(1_700_000_000) // the same after a reload
	type data struct {
		Name     string   `json:"iname"`
		State    int      `json:"state"`
		Base     int      `json:"base_priority"`
		Now      int      `json:"effective_priority"`
		Since    float64  `json:"last_transition"`
		Virtual  []string `json:"vips"`
		Excluded []string `json:"evips"`
	}
	type element struct {
		Data data `json:"data"`
	}
	var list []*element
	block := ""
	for line := range strings.Lines(string(text)) {
		words := append(strings.Fields(line), "", "")
		switch {
		case words[0] == "vrrp_instance":
			list = append(list, &element{data{Name: words[1], State: 2, Since: since}})
		case words[0] == "file":
			follow(filepath.Dir(strings.Trim(words[1], `"`)))
		case words[1] == "{":
			block = words[0]
		case words[0] == "}":
			block = ""
		case len(list) == 0:
		case words[0] == "priority":
			last := &list[len(list)-1].Data
			last.Base, _ = strconv.Atoi(words[1])
			last.Now = last.Base
		case block == "virtual_ipaddress":
			hold(words)
			last := &list[len(list)-1].Data
			last.Virtual = append(last.Virtual, strings.TrimSpace(line)+" set")
		case block == "virtual_ipaddress_excluded":
			hold(words)
			last := &list[len(list)-1].Data
			last.Excluded = append(last.Excluded, strings.TrimSpace(line)+" set")
		}
	}
	report, err := json.Marshal(list)
	if err != nil {
		fail(err)
	}
	return report
}

// follow watches a directory of track files, again after a reload.
func follow(dir string) {
	fd, err := syscall.InotifyInit1(syscall.IN_CLOEXEC)
	if err == nil {
		_, err = syscall.InotifyAddWatch(fd, dir, syscall.IN_CLOSE_WRITE)
	}
	if err != nil {
		fail(err)
	}
}

// hold puts an address on its device: ADDRESS/BITS dev DEVICE.
func hold(words []string) {
	link, err := netlink.LinkByName(words[2])
	if err != nil {
		fail(err)
	}
	address, err := netlink.ParseAddr(words[0])
	if err == nil {
		err = netlink.AddrReplace(link, address)
	}
	if err != nil {
		fail(err)
	}
}

// log adds a line: what was run.
func log(name string, args []string) {
	f, err := os.OpenFile("/fake/calls", os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		fail(err)
	}
	fmt.Fprintf(f, "%s %s\n", name, strings.Join(args, " "))
}

func micros(t syscall.Timeval) int64 { return t.Sec*1e6 + int64(t.Usec) }

// measure prints what a program cost, in this small program's stead: a child of the large
// test program would count the memory that it had before exec. It prints microseconds of
// processor and page faults of the program by itself, which the kernel knows until somebody
// waits for it, microseconds with those that it started, and kibibytes of memory at most.
func measure(args []string) {
	cmd := exec.Command(args[0])
	cmd.Args = args
	cmd.Stderr = os.Stderr
	err := cmd.Start()
	var own unix.Timespec
	var stat []byte
	if err == nil {
		err = unix.Waitid(unix.P_PID, cmd.Process.Pid, nil, unix.WEXITED|unix.WNOWAIT, nil)
	}
	if err == nil {
		// The clock of another process, clock_getcpuclockid(3).
		err = unix.ClockGettime(int32(^cmd.Process.Pid<<3|2), &own)
	}
	if err == nil {
		stat, err = os.ReadFile(fmt.Sprintf("/proc/%d/stat", cmd.Process.Pid))
	}
	if err == nil {
		err = cmd.Wait()
	}
	if err != nil {
		fail(err)
	}
	u, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage)
	if !ok {
		fail(fmt.Errorf("no usage"))
	}
	faults := strings.Fields(string(stat))[9] // minflt, proc_pid_stat(5)
	fmt.Printf("%d %s %d %d", own.Nano()/1000, faults, micros(u.Utime)+micros(u.Stime), u.Maxrss)
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}
