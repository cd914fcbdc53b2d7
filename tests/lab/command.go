package lab

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"keepalived-charm/tests/machine"
)

// command is one word of the lab's command line, named as in juju(1) where Juju
// has it.
type command struct {
	name, arguments, help string
	run                   func(ctx context.Context, l *Lab, args []string, out io.Writer) error
}

// errUsage asks for the command's help.
var errUsage = errors.New("wrong arguments")

func commands() []command {
	return []command{
		{"status", "", "applications, units, relations, and who holds which address", showStatus},
		{"deploy", "CHARM [APPLICATION] [-n UNITS]", "deploy haproxy, keepalived (again under another name), kubernetes-worker, ...", deploy},
		{"config", "APPLICATION [KEY=VALUE ...]", "show or set options; KEY= sets an empty string", configure},
		{"refresh", "", "upgrade keepalived, once deployed as keepalived-python, to the charm of this lab",
			func(ctx context.Context, l *Lab, args []string, out io.Writer) error {
				if len(args) > 0 {
					return errUsage
				}
				return l.Refresh()
			}},
		{"integrate", "APPLICATION:ENDPOINT APPLICATION[:ENDPOINT]", "relate two applications", two(func(l *Lab, a, b string) error {
			_, err := l.Model.Integrate(a, b)
			return err
		})},
		{"remove-relation", "APPLICATION:ENDPOINT APPLICATION:ENDPOINT", "unrelate two applications", two(func(l *Lab, a, b string) error {
			return l.Model.RemoveRelation(a, b)
		})},
		{"add-unit", "APPLICATION [-n UNITS]", "add units on new machines", addUnit},
		{"remove-unit", "UNIT", "remove a principal unit and its subordinates", one(func(ctx context.Context, l *Lab, unit string) error {
			return l.Model.RemoveUnit(unit)
		})},
		{"run", "UNIT ACTION [KEY=VALUE ...]", "run an action", runAction},
		{"exec", "UNIT|MACHINE COMMAND ...", "run a shell command on a machine", execute},
		{"kill", "MACHINE", "cut a machine's power", one(func(ctx context.Context, l *Lab, id string) error { return l.Kill(ctx, id) })},
		{"heal", "MACHINE", "switch a machine on again", one(func(ctx context.Context, l *Lab, id string) error { return l.Heal(ctx, id) })},
		{"leader", "UNIT", "make a unit the leader", one(func(ctx context.Context, l *Lab, unit string) error { return l.Model.SetLeader(unit) })},
		{"update-status", "", "let every unit run its update-status hook now", func(ctx context.Context, l *Lab, args []string, out io.Writer) error {
			return l.Model.TriggerUpdateStatus()
		}},
		{"databags", "APPLICATION:ENDPOINT APPLICATION:ENDPOINT", "what the units of the first publish there", showDatabags},
		{"logs", "UNIT|MACHINE [SERVICE]", "the journal of an agent or of a service", showLogs},
	}
}

// Usage describes all commands of a running lab.
func Usage() string {
	var b strings.Builder
	for _, c := range commands() {
		fmt.Fprintf(&b, "  %-62s %s\n", strings.TrimSpace(c.name+" "+c.arguments), c.help)
	}
	return b.String()
}

// Do runs one command and waits until the hooks it causes are done.
func (l *Lab) Do(ctx context.Context, out io.Writer, args ...string) error {
	if len(args) == 0 {
		return errors.New("cannot do nothing: see lab help")
	}
	all := commands()
	i := slices.IndexFunc(all, func(c command) bool { return c.name == args[0] })
	if i < 0 {
		return fmt.Errorf("cannot do %q: see lab help", args[0])
	}
	if err := all[i].run(ctx, l, args[1:], out); err != nil {
		if errors.Is(err, errUsage) {
			return fmt.Errorf("usage: lab %s %s", all[i].name, all[i].arguments)
		}
		return err
	}
	return nil
}

func one(f func(context.Context, *Lab, string) error) func(context.Context, *Lab, []string, io.Writer) error {
	return func(ctx context.Context, l *Lab, args []string, _ io.Writer) error {
		if len(args) != 1 {
			return errUsage
		}
		return f(ctx, l, args[0])
	}
}

func two(f func(l *Lab, a, b string) error) func(context.Context, *Lab, []string, io.Writer) error {
	return func(ctx context.Context, l *Lab, args []string, _ io.Writer) error {
		if len(args) != 2 {
			return errUsage
		}
		return f(l, args[0], args[1])
	}
}

func showStatus(_ context.Context, l *Lab, _ []string, out io.Writer) error {
	_, err := fmt.Fprint(out, l.Status())
	return err
}

// Status is the model in the manner of juju status, and under it who has which
// address by the kernels' word.
func (l *Lab) Status() string {
	var b strings.Builder
	if l.Juju != nil {
		text, err := l.Juju.Type(context.Background(), "status --relations")
		if err != nil {
			text = err.Error()
		}
		b.WriteString(text + "\n")
	} else {
		b.WriteString(l.Model.Status().String())
	}
	machines := l.Net.Machines()
	slices.SortFunc(machines, func(a, b *machine.Machine) int {
		return cmp.Or(len(a.Name)-len(b.Name), strings.Compare(a.Name, b.Name)) // juju-2 before juju-10
	})
	for _, m := range machines {
		var floating []string
		for _, a := range l.Holders.HeldBy(m.Name, time.Now()) {
			if p := m.Port(); a != p.IPv4.Addr() && a != p.IPv6.Addr() {
				floating = append(floating, a.String())
			}
		}
		state := "up"
		if !m.Running() {
			state = "without power"
		}
		if len(floating) > 0 {
			state += ", has " + strings.Join(floating, ", ")
		}
		fmt.Fprintf(&b, "\nmachine %s (%s): %s", strings.TrimPrefix(m.Name, "juju-"), m.Port().IPv4.Addr(), state)
	}
	b.WriteString("\n")
	return b.String()
}

// count takes "-n NUMBER" off the arguments.
func count(args []string, standard int) ([]string, int, error) {
	i := slices.Index(args, "-n")
	if i < 0 {
		return args, standard, nil
	}
	if i+1 >= len(args) {
		return nil, 0, errUsage
	}
	n, err := strconv.Atoi(args[i+1])
	if err != nil || n < 1 || n > 10 {
		return nil, 0, fmt.Errorf("cannot add %q units: it must be 1-10", args[i+1])
	}
	return slices.Delete(slices.Clone(args), i, i+2), n, nil
}

func deploy(ctx context.Context, l *Lab, args []string, _ io.Writer) error {
	args, n, err := count(args, 1)
	if err != nil || len(args) < 1 || len(args) > 2 {
		return errors.Join(err, errUsage)
	}
	charm, application := args[0], args[len(args)-1]
	switch charm {
	case l.charm.Meta.Name:
		return l.Deploy(ctx, charm, application, 0, nil)
	case "keepalived-python":
		return l.DeployPython(nil)
	case "haproxy", "kubeapi-load-balancer":
		return l.Deploy(ctx, charm, application, n, nil)
	}
	return l.Consumer(charm)
}

func addUnit(ctx context.Context, l *Lab, args []string, _ io.Writer) error {
	args, n, err := count(args, 1)
	if err != nil || len(args) != 1 {
		return errors.Join(err, errUsage)
	}
	return l.AddUnits(ctx, args[0], n)
}

func pairs(args []string) (map[string]string, error) {
	values := map[string]string{}
	for _, a := range args {
		k, v, ok := strings.Cut(a, "=")
		if !ok {
			return nil, errUsage
		}
		values[k] = v
	}
	return values, nil
}

func configure(_ context.Context, l *Lab, args []string, out io.Writer) error {
	if len(args) == 0 {
		return errUsage
	}
	if len(args) > 1 {
		values, err := pairs(args[1:])
		if err != nil {
			return err
		}
		return l.Model.SetConfig(args[0], values)
	}
	values, err := l.Model.Config(args[0])
	if err != nil {
		return err
	}
	return printJSON(out, values)
}

func runAction(ctx context.Context, l *Lab, args []string, out io.Writer) error {
	if len(args) < 2 {
		return errUsage
	}
	values, err := pairs(args[2:])
	if err != nil {
		return err
	}
	params := map[string]any{}
	for k, v := range values {
		params[k] = v
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	result, err := l.Model.RunAction(ctx, args[0], args[1], params)
	if err != nil {
		return err
	}
	if result.Message != "" {
		fmt.Fprintln(out, result.Status+": "+result.Message)
	}
	return printJSON(out, result.Results)
}

func execute(ctx context.Context, l *Lab, args []string, out io.Writer) error {
	if len(args) < 2 {
		return errUsage
	}
	result, err := l.Exec(ctx, args[0], strings.Join(args[1:], " "))
	if err != nil {
		return err
	}
	fmt.Fprint(out, result.Stdout, result.Stderr)
	if result.Code != 0 {
		return fmt.Errorf("exit status %d", result.Code)
	}
	return nil
}

func showDatabags(_ context.Context, l *Lab, args []string, out io.Writer) error {
	if len(args) != 2 {
		return errUsage
	}
	application, _, _ := strings.Cut(args[0], ":")
	bags, err := l.Databags(application, args[0], args[1])
	if err != nil {
		return err
	}
	return printJSON(out, bags)
}

func showLogs(ctx context.Context, l *Lab, args []string, out io.Writer) error {
	if len(args) < 1 || len(args) > 2 {
		return errUsage
	}
	m, err := l.Machine(args[0])
	service := ""
	if strings.Contains(args[0], "/") {
		m, err = l.MachineOf(args[0])
		service = agentName(args[0])
	}
	if err != nil {
		return err
	}
	if len(args) == 2 {
		service = args[1]
	}
	text, err := m.Journal(ctx, service)
	fmt.Fprint(out, text)
	return err
}

func printJSON(out io.Writer, v any) error {
	text, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "%s\n", text)
	return err
}
