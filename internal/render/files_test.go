package render_test

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"keepalived-charm/internal/config"
	"keepalived-charm/internal/decide"
	"keepalived-charm/internal/decidetest"
	"keepalived-charm/internal/endpoint"
	"keepalived-charm/internal/facts"
	"keepalived-charm/internal/healthcheck"
	"keepalived-charm/internal/juju"
	"keepalived-charm/internal/keepalived"
	"keepalived-charm/internal/layout"
	"keepalived-charm/internal/plan"
	"keepalived-charm/internal/status"
)

func read(t testing.TB, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	require.NoError(t, err)
	return string(text)
}

// TestEveryFileOfAServingUnit compares all files with their golden ones.
func TestEveryFileOfAServingUnit(t *testing.T) {
	d, err := decidetest.Desire(decidetest.Observed())
	require.NoError(t, err)
	names := []string{}
	for _, path := range slices.Sorted(maps.Keys(d.Files)) {
		name := strings.ReplaceAll(strings.TrimPrefix(path, "/"), "/", "_")
		names = append(names, filepath.Join("testdata", name+".golden"))
		golden(t, name, d.Files[path])
	}
	files, err := filepath.Glob("testdata/*.golden")
	require.NoError(t, err)
	require.Equal(t, names, files, "no golden file of the past")
}

// golden compares with a file of testdata; UPDATE_GOLDEN=1 writes it anew.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name+".golden")
	if os.Getenv("UPDATE_GOLDEN") != "" {
		require.NoError(t, os.MkdirAll("testdata", 0o755))
		require.NoError(t, os.WriteFile(path, []byte(got), 0o644))
	}
	require.Equal(t, read(t, path), got, "UPDATE_GOLDEN=1 writes %s anew", path)
}

// knownGood is what a unit with as many plain virtual IPs renders.
func knownGood(t *testing.T, options map[string]any) map[string]string {
	t.Helper()
	parsed, err := config.Parse(options)
	require.NoError(t, err)
	list := ""
	for n := range parsed.VirtualIPs {
		list += fmt.Sprintf("10.10.%d.%d ", 74+n/200, 20+n%200)
	}
	o := decidetest.Observed()
	o.Options.Raw = map[string]any{"virtual_ip": list}
	d, err := decidetest.Desire(o)
	require.NoError(t, err)
	return d.Files
}

// shape is what nothing from outside may change: how many lines each file has.
func shape(files map[string]string) map[string]int {
	lines := map[string]int{}
	for path, text := range files {
		// What the checker reads is JSON, longer for some types of check.
		if path != layout.ForeignFile && !strings.HasSuffix(path, ".json") {
			lines[path] = strings.Count(text, "\n")
		}
	}
	return lines
}

// FuzzDesire throws hostile options, databags and network data at the whole
// decision: it never panics, fails only with what the operator can mend, and no
// value adds a line to a file, a word to a line, or a line to a status.
func FuzzDesire(f *testing.F) {
	f.Add("10.10.74.250/24", "api.example.com", "eth0", "127.0.0.1:443", 443, 23, 0.2, "haproxy/1", "3", "10.10.74.12", "eth1", "192.0.2.7/24", "10.10.74.11", "", "version=3 mode=multicast vrid=23 interval=200ms anchor=169.254.23.112")
	f.Add("2001:db8::1", "", "", "[::1]:80", 6443, 255, 1.5, "", "-1", "x,", "eth1.5@x", "2001:db8::7/64", "fe80::1%eth0", "vrrp_instance X {\nvirtual_ipaddress {\n10.0.0.1\n}}", "version=3 mode=multicast vrid=23 interval=200.5ms anchor=169.254.23.112")
	f.Add("10.10.74.250,10.10.75.1/24 2001:db8::250", "", "", "", 80, 1, 0.05, "haproxy/1", "0", "10.10.74.12", "eth1", "10.10.75.2/24", "10.10.74.11", "", "version=2 mode=multicast vrid=23 interval=1s anchor=10.10.74.250")
	f.Add("10.0.0.1\n}", "a b", "eth0{", "\"", 1000000000, -1, 1e9, "a/b/c", "99999999999999999999", ",,,", "lo", "0.0.0.0/0", "", "# Written by the Juju charm keepalived", "")
	kinds := []string{"tcp", "http", "https", "unit", "none"}
	f.Fuzz(func(t *testing.T, vip, hostname, iface, target string, port, id int, interval float64,
		principal, rank, addresses, kernelName, kernelAddress, ingress, conf, runs string) {
		o := decidetest.Observed()
		o.Options.Raw = map[string]any{"virtual_ip": vip, "vip_hostname": hostname, "network_interface": iface,
			"healthcheck_target": target, "healthcheck_type": kinds[len(target)%len(kinds)],
			"healthcheck_path": "/" + hostname, "healthcheck_host": hostname, "port": port, "advert_interval": interval, "router_id": id}
		peer := juju.Databag{"principal": principal, "rank": rank, "addresses": addresses, "address": addresses,
			"lists": addresses, "protocol": "1", "vrrp": runs, "next": "keepalived/1 1 " + runs, "aside": "keepalived/0 0 " + runs}
		o.Relations[2].Members[juju.Unit{Application: "keepalived", Number: 1}] = facts.ReadMember(peer)
		o.Relations[2].Own = peer
		o.Relations[2].Told = endpoint.ReadMember(peer)
		o.Relations[0].Own = juju.Databag{"port": rank, "hostname": hostname, "extended_data": conf}
		o.Ingress = []string{ingress, addresses}
		i := facts.Interface{Name: kernelName, Up: true}
		if p, err := netip.ParsePrefix(kernelAddress); err == nil {
			i.Addresses = append(i.Addresses, p)
		}
		o.Machine.Interfaces = append(o.Machine.Interfaces, i)
		o.Machine.DefaultInterface4, o.Machine.DefaultInterface6 = kernelName, kernelName
		o.Machine.Files = map[string]string{layout.MainFile: conf}
		o.Machine = o.Machine.Understood(layout.Layout{Application: "keepalived"})
		o.Machine.Instances = []keepalived.InstanceState{{Name: conf, Interface: kernelName, MasterPriority: 254}}
		o.Machine.Check = facts.CheckResult{Known: true, Reason: hostname}
		d, err := decidetest.Desire(o)
		if err != nil {
			s, mendable := status.Of(err)
			require.True(t, mendable, "a fault: %v", err)
			require.NotContains(t, s.Message, "\n")
			return
		}
		if d.Mode != decide.Serving {
			return
		}
		good := knownGood(t, o.Options.Raw)
		fragment := d.Layout.Fragment()
		if text := d.Files[fragment]; strings.Contains(text, "unicast_peer {") || !strings.Contains(text, " dev lo\n") {
			// A line for every peer, or one less when a virtual IP is the anchor.
			require.LessOrEqual(t, strings.Count(text, "\n"), strings.Count(good[fragment], "\n")+3)
			return
		}
		require.Equal(t, shape(good), shape(d.Files))
		wordsAsIn(t, good, d.Files)
		c, err := healthcheck.Parse([]byte(d.Files[d.Layout.CheckerConfig()]))
		require.NoError(t, err)
		require.Equal(t, d.Layout.TrackFile(), c.Instances[0].TrackFile)
		require.NotContains(t, c.Aside(), "\n")
		for _, s := range plan.Steps(d, o) {
			require.NotContains(t, s.String(), "\n")
		}
		// A second pass over its own result changes no file.
		o.Machine.Files = maps.Clone(d.Files)
		o.Machine = o.Machine.Understood(d.Layout)
		again, err := decidetest.Desire(o)
		require.NoError(t, err)
		require.Equal(t, d.Files, again.Files)
		for id, bag := range d.Publish {
			for _, r := range o.Relations {
				if r.ID == id {
					maps.Copy(r.Own, bag)
				}
			}
		}
	})
}

// wordsAsIn requires that every line that keepalived and systemd read has as many
// words, braces and quotes as in the known-good files.
func wordsAsIn(t *testing.T, good, got map[string]string) {
	t.Helper()
	for path, text := range got {
		if path == layout.ForeignFile || strings.HasSuffix(path, ".json") {
			continue
		}
		if _, kept := got[layout.ForeignFile]; kept && path == layout.MainFile {
			want, err := keepalived.Main{Fragments: layout.FragmentDir, Foreign: layout.ForeignFile}.Render()
			require.NoError(t, err)
			require.Equal(t, want, text)
			continue
		}
		lines, goodLines := strings.Split(text, "\n"), strings.Split(good[path], "\n")
		for n, line := range lines {
			require.Len(t, strings.Fields(line), len(strings.Fields(goodLines[n])), "%s: %q", path, line)
			for _, special := range []string{"{", "}", `"`, "#", "!", "$", `\`, "'", "\x00"} {
				require.Equal(t, strings.Count(goodLines[n], special), strings.Count(line, special), "%s: %q", path, line)
			}
		}
	}
}

func TestOnlyTheOperatorsFaultsBlock(t *testing.T) {
	for _, err := range []error{&status.Blocked{Message: "x"}, &config.Invalid{Option: "port"}} {
		s, blocked := status.Of(err)
		require.True(t, blocked)
		require.Equal(t, juju.Blocked, s.Level)
		require.Equal(t, err.Error(), s.Message)
	}
	for _, err := range []error{nil, errors.New("disk full")} {
		_, blocked := status.Of(err)
		require.False(t, blocked)
	}
}
