package host

import (
	"context"
	"errors"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/godbus/dbus/v5"

	"keepalived-charm/internal/checker"
)

// systemdSocket is where systemd itself speaks D-Bus, to root alone and also on a machine
// without a bus: where systemctl asks too.
const systemdSocket = "/run/systemd/private"

// errSilent tells that systemd took too long, as it would for systemctl.
var errSilent = errors.New("it does not answer")

// askSystemd asks systemd for the properties of units that service holds
// (org.freedesktop.systemd1(5)), all at once. It loads units that it has not loaded, and
// answers for those that there are not.
func askSystemd(limit time.Duration, socket string, names ...string) (map[string]service, error) {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	bus, err := connect(ctx, socket)
	if err != nil {
		return nil, cause(ctx, err)
	}
	defer bus.Close()
	found := map[string]service{}
	var questions []func() error
	for _, name := range names {
		unit := bus.Object("org.freedesktop.systemd1", checker.UnitPath(name))
		get := func(inter, property string) *dbus.Call {
			return unit.GoWithContext(ctx, "org.freedesktop.DBus.Properties.Get", dbus.FlagNoAutoStart, make(chan *dbus.Call, 1), "org.freedesktop.systemd1."+inter, property)
		}
		state, file, pid := get("Unit", "ActiveState"), get("Unit", "UnitFileState"), (*dbus.Call)(nil)
		if strings.HasSuffix(name, ".service") {
			pid = get("Service", "MainPID")
		}
		questions = append(questions, func() error {
			var s service
			var process uint32
			err := errors.Join(reply(ctx, state, &s.state), reply(ctx, file, &s.file), reply(ctx, pid, &process))
			s.pid = int(process)
			found[name] = s
			return err
		})
	}
	for _, answered := range questions {
		if err := answered(); err != nil {
			return nil, cause(ctx, err)
		}
	}
	return found, nil
}

// connect needs no Hello, as on a bus. The connection ends with ctx.
func connect(ctx context.Context, socket string) (*dbus.Conn, error) {
	conn, err := dbus.Dial("unix:path="+socket, dbus.WithContext(ctx))
	if err != nil {
		return nil, err
	}
	if err := conn.Auth([]dbus.Auth{dbus.AuthExternal(strconv.Itoa(os.Geteuid()))}); err != nil {
		conn.Close()
		return nil, err
	}
	return conn, nil
}

// reply waits for the answer to a question, if that was asked.
func reply(ctx context.Context, question *dbus.Call, value any) error {
	if question == nil {
		return nil
	}
	select {
	case <-question.Done:
		return question.Store(value)
	case <-ctx.Done():
		return ctx.Err()
	}
}

// cause tells silence from what the end of the connection looks like.
func cause(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return errSilent
	}
	return err
}
