package lab_test

import (
	"context"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"keepalived-charm/tests/controller"
	"keepalived-charm/tests/lab"
)

func TestSmoke(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	l, err := lab.New(ctx, lab.Options{Charm: "../../keepalived.charm", Progress: os.Stderr, Model: controller.Config{}})
	require.NoError(t, err)
	defer func() { require.NoError(t, l.Close()) }()
	t0 := time.Now()
	step := func(s string) { t.Logf("%6.2f %s", time.Since(t0).Seconds(), s) }
	require.NoError(t, l.Deploy(ctx, "haproxy", "haproxy", 3, nil))
	step("haproxy")
	require.NoError(t, l.Deploy(ctx, "keepalived", "keepalived", 0, nil))
	_, err = l.Model.Integrate("haproxy", "keepalived:juju-info")
	require.NoError(t, err)
	err = l.Settled(ctx)
	step("settled\n" + l.Model.Status().String())
	if err != nil {
		dump(t, ctx, l)
	}
	require.NoError(t, err)
	require.NoError(t, l.Model.SetConfig("keepalived", map[string]string{"virtual_ip": "10.10.74.250"}))
	time.Sleep(200 * time.Millisecond)
	err = l.Settled(ctx)
	step("settled\n" + l.Model.Status().String())
	if err != nil || os.Getenv("DUMP") != "" {
		dump(t, ctx, l)
	}
	require.NoError(t, err)
}

func dump(t *testing.T, ctx context.Context, l *lab.Lab) {
	for _, id := range []string{"0", "1", "2"} {
		r, err := l.Exec(ctx, id, "ip -br addr; systemctl --failed --no-pager; journalctl --no-pager -n 25; cat /etc/keepalived/charm.d/*; ls -la /run/keepalived-charm/*; cat /run/keepalived-charm/*/*")
		t.Log(r.Stdout, r.Stderr, err)
		if id == "0" {
			continue
		}
		break
	}
}
