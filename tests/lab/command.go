package lab

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"keepalived-charm/tests/machine"
)

// command is one word of the lab's command line: what Juju has no word for.
type command struct {
	name, arguments, help string
	run                   func(ctx context.Context, l *Lab, args []string, out io.Writer) error
}

// errUsage asks for the command's help.
var errUsage = errors.New("wrong arguments")

func commands() []command {
	return []command{
		{"machines", "", "which machines have power, and who holds which address", showMachines},
		{"exec", "UNIT|MACHINE COMMAND ...", "run a shell command on a machine", execute},
		{"kill", "MACHINE", "cut a machine's power", one(func(ctx context.Context, l *Lab, id string) error { return l.Kill(ctx, id) })},
		{"heal", "MACHINE", "switch a machine on again", one(func(ctx context.Context, l *Lab, id string) error { return l.Heal(ctx, id) })},
		{"away", "yes|no", "cut the controller off from all agents, or bring it back", one(setAway)},
		{"logs", "UNIT|MACHINE [SERVICE]", "the log of a unit, the journal of a machine or of a service", showLogs},
		{"shell", "", "what to type in a shell for juju to find this lab", showShell},
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

// Do runs one command.
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

func showMachines(_ context.Context, l *Lab, _ []string, out io.Writer) error {
	_, err := fmt.Fprint(out, l.machineStatus())
	return err
}

func setAway(ctx context.Context, l *Lab, away string) error {
	if away != "yes" && away != "no" {
		return errUsage
	}
	return l.Juju.SetAway(ctx, away == "yes")
}

func showShell(_ context.Context, l *Lab, _ []string, out io.Writer) error {
	_, err := fmt.Fprintf(out, "# charms to deploy are in %s\nexport JUJU_DATA=%s PATH=%s:$PATH\n", l.Juju.Charms, l.Juju.Store, l.Juju.bin)
	return err
}

// Status is what juju status says, and under it who has which
// address by the kernels' word.
func (l *Lab) Status() string {
	var b strings.Builder
	text, err := l.Juju.Type(context.Background(), "status --relations")
	if err != nil {
		text = err.Error()
	}
	b.WriteString(text + "\n\n" + l.machineStatus())
	return b.String()
}

// machineStatus says of each machine whether it has power, and which addresses beside its own.
func (l *Lab) machineStatus() string {
	var b strings.Builder
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
		fmt.Fprintf(&b, "machine %s (%s): %s\n", strings.TrimPrefix(m.Name, "juju-"), m.Port().IPv4.Addr(), state)
	}
	return b.String()
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

func showLogs(ctx context.Context, l *Lab, args []string, out io.Writer) error {
	if len(args) < 1 || len(args) > 2 {
		return errUsage
	}
	m, err := l.Machine(args[0])
	if strings.Contains(args[0], "/") {
		m, err = l.MachineOf(args[0])
	}
	if err != nil {
		return err
	}
	if strings.Contains(args[0], "/") && len(args) == 1 {
		text, err := m.ReadFile(ctx, UnitLog(args[0]))
		fmt.Fprintf(out, "%s", text)
		return err
	}
	service := ""
	if len(args) == 2 {
		service = args[1]
	}
	text, err := m.Journal(ctx, service)
	fmt.Fprint(out, text)
	return err
}
