// Package systemdtest is a systemd for tests: the part of D-Bus that systemd speaks on its
// own socket, /run/systemd/private.
package systemdtest

import (
	"bufio"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"

	"github.com/godbus/dbus/v5"
)

// Unit is what systemd says of a unit.
type Unit struct {
	ActiveState, UnitFileState string
	MainPID                    uint32
}

// Systemd answers for its units. Of one that there is not it says what Unit returns for it.
type Systemd struct {
	// Unit returns a unit by its object path.
	Unit func(dbus.ObjectPath) Unit
	// Hung has it answer nothing.
	Hung bool
}

// Serve answers whoever connects until the listener is closed.
func (s Systemd) Serve(listener net.Listener) {
	for {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		go s.serve(conn)
	}
}

// serve lets root in alone, as systemd does (D-Bus specification, Authentication Protocol).
func (s Systemd) serve(conn net.Conn) {
	defer conn.Close()
	r := bufio.NewReader(conn)
	user := hex.EncodeToString([]byte(strconv.Itoa(os.Geteuid())))
	for allowed := false; ; {
		line, err := r.ReadString('\n')
		if err != nil {
			return
		}
		switch line = strings.Trim(line, "\x00\r\n"); {
		case s.Hung:
		case line == "BEGIN" && allowed:
			s.answer(conn, r)
			return
		case line == "AUTH EXTERNAL "+user, line == "DATA", line == "DATA "+user:
			allowed = true
			fmt.Fprint(conn, "OK 0123456789abcdef0123456789abcdef\r\n")
		case line == "AUTH EXTERNAL":
			fmt.Fprint(conn, "DATA\r\n")
		case line == "NEGOTIATE_UNIX_FD" && allowed:
			fmt.Fprint(conn, "AGREE_UNIX_FD\r\n")
		case strings.HasPrefix(line, "AUTH"):
			fmt.Fprint(conn, "REJECTED EXTERNAL ANONYMOUS\r\n")
		default:
			fmt.Fprint(conn, "ERROR\r\n")
		}
	}
}

func (s Systemd) answer(conn net.Conn, r *bufio.Reader) {
	for {
		call, err := dbus.DecodeMessage(r)
		if err != nil {
			return
		}
		reply := &dbus.Message{Type: dbus.TypeMethodReply, Headers: map[dbus.HeaderField]dbus.Variant{dbus.FieldReplySerial: dbus.MakeVariant(call.Serial())}}
		if value := s.property(call); value != nil {
			reply.Body = []any{dbus.MakeVariant(value)}
		} else {
			reply.Type, reply.Body = dbus.TypeError, []any{"Unknown method, interface or property."}
			reply.Headers[dbus.FieldErrorName] = dbus.MakeVariant("org.freedesktop.DBus.Error.UnknownMethod")
		}
		reply.Headers[dbus.FieldSignature] = dbus.MakeVariant(dbus.SignatureOf(reply.Body...))
		if reply.EncodeTo(conn, binary.LittleEndian) != nil {
			return
		}
	}
}

// property is what a call asks for; nil for what is no property of a unit of that kind.
func (s Systemd) property(call *dbus.Message) any {
	path, _ := call.Headers[dbus.FieldPath].Value().(dbus.ObjectPath)
	if call.Headers[dbus.FieldInterface].Value() != "org.freedesktop.DBus.Properties" || call.Headers[dbus.FieldMember].Value() != "Get" || len(call.Body) != 2 {
		return nil
	}
	unit := s.Unit(path)
	switch fmt.Sprintf("%v %v", call.Body...) {
	case "org.freedesktop.systemd1.Unit ActiveState":
		return unit.ActiveState
	case "org.freedesktop.systemd1.Unit UnitFileState":
		return unit.UnitFileState
	case "org.freedesktop.systemd1.Service MainPID":
		if strings.HasSuffix(string(path), "_2eservice") {
			return unit.MainPID
		}
	}
	return nil
}
