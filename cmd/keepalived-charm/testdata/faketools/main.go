// Command faketools stands in for the programs that a hook starts: Juju's hook
// tools, systemctl and keepalived. Which one it is tells the name it was started
// by; its state lies in /fake. As "measure" it runs a program and prints what that
// cost.
package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"

	"gopkg.in/yaml.v3"
)

func main() {
	name, args := filepath.Base(os.Args[0]), os.Args[1:]
	if name == "measure" {
		measure(args)
		return
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
		if args[0] == "--version" {
			fmt.Println("Keepalived v2.2.7 (01/16,2022)")
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
	case "show":
		for _, service := range args[2:] {
			state := "inactive"
			if _, err := os.Stat("/fake/active-" + service); err == nil {
				state = "active"
			}
			fmt.Printf("MainPID=0\nId=%s\nActiveState=%s\n\n", service, state)
		}
	case "restart", "reload-or-restart":
		if err := os.WriteFile("/fake/active-"+last, nil, 0o600); err != nil {
			fail(err)
		}
	case "stop":
		if err := os.Remove("/fake/active-" + last); err != nil {
			fail(err)
		}
	}
}

// log adds a line: the microseconds of processor and the page faults it took, and what was run.
func log(name string, args []string) {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		fail(err)
	}
	f, err := os.OpenFile("/fake/calls", os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		fail(err)
	}
	fmt.Fprintf(f, "%d\t%d\t%s %s\n", micros(u.Utime)+micros(u.Stime), u.Minflt, name, strings.Join(args, " "))
}

func micros(t syscall.Timeval) int64 { return t.Sec*1e6 + int64(t.Usec) }

// measure prints microseconds of processor, page faults and kibibytes of memory at most,
// of the program and its children, in this small program's stead: a child of the
// large test program would count the memory that it had before exec.
func measure(args []string) {
	cmd := exec.Command(args[0])
	cmd.Args = args
	cmd.Stderr = os.Stderr
	if err := cmd.Run(); err != nil {
		fail(err)
	}
	u, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage)
	if !ok {
		fail(fmt.Errorf("no usage"))
	}
	fmt.Printf("%d %d %d", micros(u.Utime)+micros(u.Stime), u.Minflt, u.Maxrss)
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}
