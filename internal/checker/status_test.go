package checker

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"keepalived-charm/internal/healthcheck"
)

func TestAStatusComesBackAsWritten(t *testing.T) {
	path := filepath.Join(t.TempDir(), "status.json")
	s := Status{
		Verdict: "sick", Since: time.Unix(1, 0).UTC(), Written: time.Unix(2, 0).UTC(), Holds: []string{"VI_1"},
		LastError: "cannot connect", LastDurationMS: 1.25, Checks: 7, StepAsides: 1,
	}
	require.NoError(t, os.WriteFile(path, []byte(s.text()), 0o600))
	back, err := ReadStatus(path)
	require.NoError(t, err)
	require.Equal(t, s, back)
}

func TestEveryStatusHasTheSameLength(t *testing.T) {
	s := Status{LastError: strings.Repeat("\x01ä", 2000)}
	for i := range 1000 {
		s.Holds = append(s.Holds, strings.Repeat("V", 60)+strconv.Itoa(i))
		if i < 100 || i == 999 { // there is room for fewer
			require.Len(t, s.text(), statusSize)
		}
	}
}

// TestAStatusHasRoomForAllInstances, with three units that have all held each.
func TestAStatusHasRoomForAllInstances(t *testing.T) {
	for _, instances := range []int{1, 20, 60, 255} {
		w := newStatusWriter(healthcheck.Config{Instances: make([]healthcheck.Instance, instances)}, healthy)
		for n := range instances {
			name := fmt.Sprintf("charm_keepalived_%d", n)
			w.data.Holds = append(w.data.Holds, name)
			for peer := range 3 {
				w.data.Heard = append(w.data.Heard, Heard{Instance: name, Address: netip.AddrFrom4([4]byte{10, 10, 74, byte(200 + peer)}), Priority: 254,
					Last: time.Unix(1e9, 123e6).UTC(), Speaks: true})
			}
		}
		var back Status
		require.NoError(t, json.Unmarshal([]byte(w.data.text()), &back))
		require.Len(t, back.Heard, 3*instances)
		require.Len(t, back.Holds, instances)
		require.Len(t, Status{room: w.data.room}.text(), len(w.data.text()))
	}
}

// TestAStatusWithoutRoomNamesThoseThatSpeak.
func TestAStatusWithoutRoomNamesThoseThatSpeak(t *testing.T) {
	var s Status
	for n := range 60 {
		s.Heard = append(s.Heard, Heard{Instance: strconv.Itoa(n), Address: netip.AddrFrom4([4]byte{10, 10, 74, 200}), Last: time.Unix(1e9, 0).UTC(), Speaks: n%4 == 3})
	}
	var back Status
	require.NoError(t, json.Unmarshal([]byte(s.text()), &back))
	require.Len(t, back.Heard, 15)
}

func TestAStatusThatIsNoneIsAnError(t *testing.T) {
	path := filepath.Join(t.TempDir(), "status.json")
	_, err := ReadStatus(path)
	require.ErrorIs(t, err, os.ErrNotExist)
	require.NoError(t, os.WriteFile(path, nil, 0o600))
	_, err = ReadStatus(path)
	require.EqualError(t, err, "cannot read checker status "+path+": unexpected end of JSON input")
}

func TestTheStatusLineSaysItAll(t *testing.T) {
	one := healthcheck.Config{Instances: make([]healthcheck.Instance, 1), Check: healthcheck.Check{Type: healthcheck.TCP, Target: "127.0.0.1:443"}}
	three := healthcheck.Config{Instances: make([]healthcheck.Instance, 3), Check: healthcheck.Check{Type: healthcheck.None}}
	for line, w := range map[string]func() statusWriter{
		"tcp 127.0.0.1:443, unknown, standby": func() statusWriter { return newStatusWriter(one, unknown) },
		"tcp 127.0.0.1:443 ok, healthy, holder": func() statusWriter {
			w := newStatusWriter(one, healthy)
			w.checked(outcome{})
			w.hold("VI_1", true)
			return w
		},
		"tcp 127.0.0.1:443: no answer, sick, standby": func() statusWriter {
			w := newStatusWriter(one, sick)
			w.hold("VI_1", true)
			w.hold("VI_1", false)
			w.checked(outcome{err: errors.New("no\nanswer")})
			return w
		},
		"none, healthy, holds 2 of 3": func() statusWriter {
			w := newStatusWriter(three, healthy)
			w.hold("VI_1", true)
			w.hold("VI_3", true)
			return w
		},
	} {
		w := w()
		require.Equal(t, line, w.line())
	}
}

func TestStatusIsWrittenWhenThereIsNewsAndAtMostOncePerSecond(t *testing.T) {
	w := newStatusWriter(healthcheck.Config{Check: healthcheck.Check{Type: healthcheck.None}}, healthy)
	quiet := log.New(io.Discard, "", 0)
	now := time.Now()
	require.NotEmpty(t, w.write(now, quiet))
	w.hold("VI_1", true)
	require.Empty(t, w.write(now.Add(statusInterval-1), quiet))
	require.NotEmpty(t, w.write(now.Add(statusInterval), quiet))
	require.Equal(t, now.Add(statusInterval+rereadInterval), w.due(), "counters can wait")
	require.Empty(t, w.write(now.Add(statusInterval+rereadInterval), quiet), "no news for people")
	require.Equal(t, now.Add(statusInterval+2*rereadInterval), w.due())
}
