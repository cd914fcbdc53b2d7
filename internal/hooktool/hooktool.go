// Package hooktool calls Juju's hook tools: JSON in, typed values out. It works
// with the tools of Juju 2.9, 3.x and 4.x, and only inside a hook or action.
package hooktool

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"keepalived-charm/internal/juju"
)

// Tools are the hook tools on the PATH that Juju gave this hook.
type Tools struct{}

// run starts one tool and returns what it prints. Its standard error, Juju's words on what
// is wrong, ends the error. All goes through files in memory: nobody has to write or read
// while the tool runs, and a hook, which starts a dozen, only waits for their end.
func run(stdin []byte, tool string, args ...string) ([]byte, error) {
	path, err := exec.LookPath(tool)
	if err != nil {
		return nil, err
	}
	var files [3]uintptr // standard input, output and error
	for n := range files {
		fd, err := unix.MemfdCreate(tool, unix.MFD_CLOEXEC)
		if err != nil {
			return nil, fmt.Errorf("memfd_create: %w", err)
		}
		defer unix.Close(fd)
		files[n] = uintptr(fd)
	}
	for at := 0; at < len(stdin); {
		n, err := unix.Pwrite(int(files[0]), stdin[at:], int64(at)) // the tool reads from 0 on
		if err != nil {
			return nil, fmt.Errorf("pwrite: %w", err)
		}
		at += n
	}
	pid, err := syscall.ForkExec(path, append([]string{tool}, args...), &syscall.ProcAttr{Env: os.Environ(), Files: files[:]})
	if err != nil {
		return nil, fmt.Errorf("fork/exec %s: %w", path, err)
	}
	var end syscall.WaitStatus
	for {
		if _, err = syscall.Wait4(pid, &end, 0, nil); err != syscall.EINTR {
			break
		}
	}
	switch {
	case err != nil:
		return nil, fmt.Errorf("wait4: %w", err)
	case end.Signaled():
		err = fmt.Errorf("signal: %s", end.Signal())
	case end.ExitStatus() != 0:
		err = fmt.Errorf("exit status %d", end.ExitStatus())
	default:
		return content(files[1])
	}
	if text, _ := content(files[2]); len(bytes.TrimSpace(text)) > 0 {
		return nil, fmt.Errorf("%w: %s", err, bytes.TrimSpace(text))
	}
	return nil, err
}

// content reads a file in memory.
func content(fd uintptr) ([]byte, error) {
	size, err := unix.Seek(int(fd), 0, io.SeekEnd)
	if err != nil {
		return nil, fmt.Errorf("lseek: %w", err)
	}
	text := make([]byte, size)
	for at := 0; at < len(text); {
		n, err := unix.Pread(int(fd), text[at:], int64(at))
		if err != nil {
			return nil, fmt.Errorf("pread: %w", err)
		}
		if n == 0 {
			return text[:at], nil // somebody has made it shorter
		}
		at += n
	}
	return text, nil
}

// read runs a tool that prints JSON and decodes it into v.
func read(v any, tool string, args ...string) error {
	out, err := run(nil, tool, append([]string{"--format=json"}, args...)...)
	if err != nil {
		return err
	}
	d := json.NewDecoder(bytes.NewReader(out))
	d.UseNumber() // an option may hold more digits than a float64
	return d.Decode(v)
}

// Options returns the application's options; one that has neither a value nor a
// default is missing. Numbers are json.Number.
func (Tools) Options() (map[string]any, error) {
	var options map[string]any
	if err := read(&options, "config-get"); err != nil {
		return nil, fmt.Errorf("cannot read options: %w", err)
	}
	return options, nil
}

// Relations returns the relations of an endpoint, sorted; none for an endpoint
// that Juju does not know (yet).
func (Tools) Relations(endpoint string) ([]juju.RelationID, error) {
	var ids []juju.RelationID
	if err := read(&ids, "relation-ids", endpoint); err != nil {
		return nil, fmt.Errorf("cannot list relations of endpoint %s: %w", endpoint, err)
	}
	slices.Sort(ids)
	return ids, nil
}

// RemoteUnits returns the units that have joined a relation, in Juju's order.
func (Tools) RemoteUnits(id juju.RelationID) ([]juju.Unit, error) {
	var list []string
	if err := read(&list, "relation-list", "-r", string(id)); err != nil {
		return nil, fmt.Errorf("cannot list units of relation %s: %w", id, err)
	}
	units := make([]juju.Unit, 0, len(list))
	for _, s := range list {
		u, err := juju.ParseUnit(s)
		if err != nil {
			return nil, fmt.Errorf("cannot list units of relation %s: %w", id, err)
		}
		units = append(units, u)
	}
	return units, nil
}

// Databag returns what a unit, our own included, publishes in a relation.
func (Tools) Databag(id juju.RelationID, unit juju.Unit) (juju.Databag, error) {
	var bag juju.Databag
	if err := read(&bag, "relation-get", "-r", string(id), "-", unit.String()); err != nil {
		return nil, fmt.Errorf("cannot read databag of %s in relation %s: %w", unit, id, err)
	}
	return bag, nil
}

// Leader tells whether this unit leads its application, for the next 30 s at least.
func (Tools) Leader() (leads bool, err error) {
	if err = read(&leads, "is-leader"); err != nil {
		err = fmt.Errorf("cannot tell whether this unit leads: %w", err)
	}
	return leads, err
}

// RemoteApplication returns the application on the other side of a relation.
func (Tools) RemoteApplication(id juju.RelationID) (name string, err error) {
	if err = read(&name, "relation-list", "--app", "-r", string(id)); err != nil {
		err = fmt.Errorf("cannot tell the application in relation %s: %w", id, err)
	}
	return name, err
}

// ApplicationDatabag returns what an application, our own for its leader included, publishes in
// a relation.
func (Tools) ApplicationDatabag(id juju.RelationID, application string) (juju.Databag, error) {
	var bag juju.Databag
	if err := read(&bag, "relation-get", "--app", "-r", string(id), "-", application); err != nil {
		return nil, fmt.Errorf("cannot read databag of application %s in relation %s: %w", application, id, err)
	}
	return bag, nil
}

// PublishForApplication is Publish for our application's databag, which its leader has.
func (Tools) PublishForApplication(id juju.RelationID, changes juju.Databag) error {
	if _, err := run(mapping(changes), "relation-set", "--app", "-r", string(id), "--file", "-"); err != nil {
		return fmt.Errorf("cannot publish for the application in relation %s: %w", id, err)
	}
	return nil
}

// Publish changes keys of our own databag; Juju keeps the change until the hook
// ends well and drops it otherwise. An empty value deletes its key.
func (Tools) Publish(id juju.RelationID, changes juju.Databag) error {
	// No limit on length, unlike arguments.
	if _, err := run(mapping(changes), "relation-set", "-r", string(id), "--file", "-"); err != nil {
		return fmt.Errorf("cannot publish in relation %s: %w", id, err)
	}
	return nil
}

// mapping is a databag as a YAML flow mapping (YAML 1.2 section 7.4): every escape of a
// quoted Go string means the same in a double-quoted scalar (section 5.7).
func mapping(bag juju.Databag) []byte {
	text := []byte("{")
	for n, k := range slices.Sorted(maps.Keys(bag)) {
		if n > 0 {
			text = append(text, ", "...)
		}
		text = strconv.AppendQuoteToASCII(text, k)
		text = append(text, ": "...)
		text = strconv.AppendQuoteToASCII(text, strings.ToValidUTF8(bag[k], "\uFFFD"))
	}
	return append(text, "}\n"...)
}

// Network returns the network of an endpoint; an empty one where Juju's space that the
// endpoint is bound to has no address on this machine (yet), which Juju tells as an error
// (worker/uniter/runner/jujuc/network-get.go).
func (Tools) Network(endpoint string) (juju.Network, error) {
	var n juju.Network
	if err := read(&n, "network-get", endpoint); err != nil {
		if strings.Contains(err.Error(), "no network config found for binding") {
			return juju.Network{}, nil
		}
		return juju.Network{}, fmt.Errorf("cannot read the network of endpoint %s: %w", endpoint, err)
	}
	return n, nil
}

// PlannedUnits returns how many units an application related on some endpoint has
// or is about to have (goal-state). A subordinate's own units are not in there:
// Juju lists only those that share a principal unit.
func (Tools) PlannedUnits(endpoints []string, application string) (int, error) {
	var goal struct {
		Relations map[string]map[string]any `json:"relations"`
	}
	if err := read(&goal, "goal-state"); err != nil {
		return 0, fmt.Errorf("cannot read the goal state: %w", err)
	}
	units := map[juju.Unit]bool{}
	for _, endpoint := range endpoints {
		for name := range goal.Relations[endpoint] {
			if u, err := juju.ParseUnit(name); err == nil && u.Application == application {
				units[u] = true
			}
		}
	}
	return len(units), nil
}

// Status returns the unit's status as it is shown now; Juju sets it too.
func (Tools) Status() (juju.Status, error) {
	var s struct {
		Level   juju.StatusLevel `json:"status"`
		Message string           `json:"message"`
	}
	if err := read(&s, "status-get", "--include-data"); err != nil {
		return juju.Status{}, fmt.Errorf("cannot read status: %w", err)
	}
	return juju.Status{Level: s.Level, Message: s.Message}, nil
}

// Secret returns the content of a user secret's latest revision (Juju 3.3 and
// later).
func (Tools) Secret(uri string) (map[string]string, error) {
	var content map[string]string
	if err := read(&content, "secret-get", "--refresh", uri); err != nil {
		return nil, fmt.Errorf("cannot read secret %s: %w", uri, err)
	}
	return content, nil
}

// SetStatus shows a status at once, whether or not the hook ends well.
func (Tools) SetStatus(s juju.Status) error {
	if _, err := run(nil, "status-set", string(s.Level), s.Message); err != nil {
		return fmt.Errorf("cannot set status: %w", err)
	}
	return nil
}

// SetWorkloadVersion shows the version of keepalived in juju status.
func (Tools) SetWorkloadVersion(version string) error {
	if _, err := run(nil, "application-version-set", version); err != nil {
		return fmt.Errorf("cannot set workload version: %w", err)
	}
	return nil
}

// Log writes a line to the unit's log. It needs no controller. A line that
// cannot be written goes to standard error, which Juju logs too.
func (Tools) Log(line string) {
	if _, err := run(nil, "juju-log", "-l", "INFO", "--", line); err != nil {
		fmt.Fprintln(os.Stderr, line)
	}
}

// ActionParameters returns the running action's parameters, defaults filled in.
func (Tools) ActionParameters() (map[string]any, error) {
	var parameters map[string]any
	if err := read(&parameters, "action-get"); err != nil {
		return nil, fmt.Errorf("cannot read the action's parameters: %w", err)
	}
	return parameters, nil
}

// SetActionResults adds results to the running action. Keys are lower case
// letters, digits and hyphens.
func (Tools) SetActionResults(results map[string]string) error {
	args := make([]string, 0, len(results))
	for k, v := range results {
		args = append(args, k+"="+v)
	}
	slices.Sort(args)
	if _, err := run(nil, "action-set", args...); err != nil {
		return fmt.Errorf("cannot set action results: %w", err)
	}
	return nil
}

// FailAction marks the running action as failed.
func (Tools) FailAction(reason string) error {
	if _, err := run(nil, "action-fail", reason); err != nil {
		return fmt.Errorf("cannot fail the action: %w", err)
	}
	return nil
}
