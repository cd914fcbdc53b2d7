package checker

import (
	"bufio"
	"context"
	"encoding/binary"
	"fmt"
	"keepalived-charm/internal/poll"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"
	"github.com/stretchr/testify/require"
)

// fakeBus is a system bus with systemd's units behind it.
type fakeBus struct {
	listener net.Listener
	mu       sync.Mutex
	units    map[dbus.ObjectPath]string
	conns    []net.Conn
	hung     bool // answers nothing
	gone     bool // will never answer again
}

// newFakeBus makes a bus that this process takes for the system's.
func newFakeBus(t *testing.T) *fakeBus {
	path := filepath.Join(t.TempDir(), "bus")
	listener, err := net.Listen("unix", path)
	require.NoError(t, err)
	t.Setenv("DBUS_SYSTEM_BUS_ADDRESS", "unix:path="+path)
	b := &fakeBus{listener: listener, units: map[dbus.ObjectPath]string{}}
	t.Cleanup(func() {
		listener.Close()
		b.set(func() { b.hangUp() })
	})
	go func() {
		for conn, err := listener.Accept(); err == nil; conn, err = listener.Accept() {
			b.set(func() { b.conns = append(b.conns, conn) })
			go b.serve(conn)
		}
	}()
	return b
}

// set changes the bus's state.
func (b *fakeBus) set(change func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	change()
}

// hangUp ends all connections, as a bus that restarts.
func (b *fakeBus) hangUp() {
	for _, c := range b.conns {
		c.Close()
	}
	b.conns = nil
}

// serve speaks the part of the D-Bus specification that a client of ours needs.
func (b *fakeBus) serve(conn net.Conn) {
	defer conn.Close()
	r := bufio.NewReader(conn)
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return
		}
		var hung bool
		b.set(func() { hung = b.hung })
		switch line = strings.Trim(line, "\x00\r\n"); {
		case hung:
		case line == "BEGIN":
			b.answer(conn, r)
			return
		case line == "AUTH EXTERNAL":
			fmt.Fprint(conn, "DATA\r\n")
		case strings.HasPrefix(line, "DATA"):
			fmt.Fprint(conn, "OK 0123456789abcdef0123456789abcdef\r\n")
		case line == "AUTH":
			fmt.Fprint(conn, "REJECTED EXTERNAL\r\n")
		default:
			fmt.Fprint(conn, "ERROR\r\n")
		}
	}
}

func (b *fakeBus) answer(conn net.Conn, r *bufio.Reader) {
	for {
		call, err := dbus.DecodeMessage(r)
		if err != nil {
			return
		}
		var body any = ":1.1"
		if call.Headers[dbus.FieldMember].Value() == "Get" {
			path := call.Headers[dbus.FieldPath].Value().(dbus.ObjectPath)
			b.set(func() { body = dbus.MakeVariant(b.units[path]) })
		}
		reply := &dbus.Message{
			Type: dbus.TypeMethodReply,
			Headers: map[dbus.HeaderField]dbus.Variant{
				dbus.FieldReplySerial: dbus.MakeVariant(call.Serial()),
				dbus.FieldSignature:   dbus.MakeVariant(dbus.SignatureOf(body)),
			},
			Body: []any{body},
		}
		var hung bool
		b.set(func() { hung = b.hung })
		if !hung && reply.EncodeTo(conn, binary.LittleEndian) != nil {
			return
		}
	}
}

func TestAUnitPassesWhileItIsActive(t *testing.T) {
	bus := newFakeBus(t)
	p := &unitProber{unit: "haproxy.service"}
	ask := func() error {
		timeout := 10 * time.Second
		bus.set(func() {
			if bus.hung || bus.gone {
				timeout = 300 * time.Millisecond
			}
		})
		ctx, cancel := context.WithTimeout(context.Background(), timeout)
		defer cancel()
		_, err := p.probe(ctx)
		return err
	}
	for state, passes := range map[string]bool{
		"active": true, "reloading": true, "refreshing": true,
		"inactive": false, "failed": false, "activating": false, "deactivating": false, "maintenance": false,
	} {
		bus.set(func() { bus.units["/org/freedesktop/systemd1/unit/haproxy_2eservice"] = state })
		if passes {
			require.NoError(t, ask(), state)
		} else {
			require.EqualError(t, ask(), "haproxy.service is "+state)
		}
	}
	bus.set(func() {
		bus.units["/org/freedesktop/systemd1/unit/haproxy_2eservice"] = "active"
		bus.hung = true
	})
	require.EqualError(t, ask(), "cannot learn the state of haproxy.service: timed out")
	require.EqualError(t, ask(), "cannot connect to the system bus: timed out")
	bus.set(func() { bus.hung = false })
	require.NoError(t, ask())
	bus.set(bus.hangUp)
	require.NoError(t, ask(), "a bus that restarted is found again within the check")
	bus.listener.Close()
	bus.set(func() {
		bus.gone = true
		bus.hangUp()
	})
	// The end of the check may fall into a try.
	poll.Until(t, func() bool { return ask().Error() == "cannot connect to the system bus: no such file or directory" }, time.Minute, time.Millisecond)
}

func TestUnitPathsAreEscapedAsSystemdDoes(t *testing.T) {
	for unit, path := range map[string]dbus.ObjectPath{
		"haproxy.service":       "/org/freedesktop/systemd1/unit/haproxy_2eservice",
		"getty@tty1.service":    "/org/freedesktop/systemd1/unit/getty_40tty1_2eservice",
		"3proxy-a_b.service":    "/org/freedesktop/systemd1/unit/_33proxy_2da_5fb_2eservice",
		`dev-a\x2db.mount`:      "/org/freedesktop/systemd1/unit/dev_2da_5cx2db_2emount",
		"postgresql@16.service": "/org/freedesktop/systemd1/unit/postgresql_4016_2eservice",
	} {
		require.Equal(t, path, UnitPath(unit))
		require.True(t, UnitPath(unit).IsValid())
	}
}
