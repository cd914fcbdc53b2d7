package host

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func FuzzParseServices(f *testing.F) {
	f.Add("Id=keepalived.service\nActiveState=active\nMainPID=12\n\nId=x\nActiveState=failed\nMainPID=-1")
	f.Add("\n\n\n=\n==\nMainPID=99999999999999999999999\nId")
	f.Fuzz(func(t *testing.T, text string) {
		for _, s := range parseServices(text) {
			require.Equal(t, s.running(), s.state == "active" || s.state == "reloading" || s.state == "activating")
			require.GreaterOrEqual(t, s.pid, 0, "a signal to a negative process would hit a group")
		}
	})
}

func FuzzParseSysctl(f *testing.F) {
	f.Add("net.ipv4.ip_nonlocal_bind = 1\n# a = b\n; c=d\n")
	f.Add("=\n a=b=c")
	f.Fuzz(func(t *testing.T, text string) {
		for name, value := range parseSysctl(text) {
			require.False(t, strings.ContainsAny(name+value, "\n"))
			require.False(t, strings.HasPrefix(name, "#") || strings.HasPrefix(name, ";"))
		}
	})
}
