package decide_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"keepalived-charm/internal/decidetest"
	"keepalived-charm/internal/show"
)

func TestAnActionIsNamedAsTheJujuAtHandRunsIt(t *testing.T) {
	for version, want := range map[string]string{
		"2.9.43": "paused, takes no VIP: juju run-action keepalived/0 resume",
		"3.5.4":  "paused, takes no VIP: juju run keepalived/0 resume",
		"":       "paused, takes no VIP: juju run keepalived/0 resume",
	} {
		o := decidetest.Observed()
		o.Event.Version, o.Machine.Paused = version, true
		d, err := decidetest.Desire(o)
		require.NoError(t, err)
		require.Equal(t, want, show.Status(d, o.Machine).Message, version)
	}
}
