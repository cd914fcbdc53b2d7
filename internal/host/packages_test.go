package host_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"keepalived-charm/internal/layout"
	"keepalived-charm/internal/needs"
	"keepalived-charm/internal/status"
	"keepalived-charm/internal/step"
)

// packed is a package's file in the charm.
type packed struct{ name, text string }

// bring puts packages into the charm's directory.
func (m machine) bring(packages ...packed) {
	m.t.Helper()
	dir := filepath.Join(filepath.Dir(m.charm), layout.Packages)
	require.NoError(m.t, os.Mkdir(dir, 0o755))
	for _, p := range packages {
		require.NoError(m.t, os.WriteFile(filepath.Join(dir, p.name), []byte(p.text), 0o644))
	}
}

// control is what the fake dpkg-deb reads of a package.
func control(name, arch string) string {
	return "Package: " + name + "\nArchitecture: " + arch + "\n"
}

// TestWhatCameWithTheCharmIsInstalledAndNoArchiveIsAsked: what the machine has already stays as it is,
// what is for another architecture is left out.
func TestWhatCameWithTheCharmIsInstalledAndNoArchiveIsAsked(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	m := newMachine(t)
	m.set(t, "apt-fails", "update")
	m.bring(
		packed{"keepalived_1%3a2.2.7-1_amd64.deb", control("keepalived", "amd64")},
		packed{"keepalived_1%3a2.2.7-1_arm64.deb", control("keepalived", "arm64")},
		packed{"libc6_2.36-9_amd64.deb", control("libc6", "amd64")},
		packed{"libsnmp40_5.9_amd64.deb", control("libsnmp40", "amd64")},
		packed{"libsnmp40_5.9_arm64.deb", control("libsnmp40", "arm64")},
		packed{"libsnmp-base_5.9_all.deb", control("libsnmp-base", "all")},
		packed{"README", "what this is"},
	)
	m.apply(step.Step{Action: step.InstallPackage})
	var apt []string
	for _, call := range m.calls() {
		if strings.HasPrefix(call, "apt-get ") {
			apt = append(apt, call)
		}
	}
	require.Len(t, apt, 1)
	_, files, _ := strings.Cut(apt[0], " --no-install-recommends install ")
	var names []string
	for _, f := range strings.Fields(files) {
		require.True(t, filepath.IsAbs(f), f)
		names = append(names, filepath.Base(f))
	}
	require.Equal(t, []string{"keepalived_1%3a2.2.7-1_amd64.deb", "libsnmp-base_5.9_all.deb", "libsnmp40_5.9_amd64.deb"}, names)
	m.apply(step.Step{Action: step.RemovePackage})
	require.Contains(t, m.says("calls"), "purge keepalived")
	require.NoDirExists(t, m.in(layout.StateRoot))
	left, err := filepath.Glob(filepath.Join(os.TempDir(), "keepalived-packages-*"))
	require.NoError(t, err)
	require.Empty(t, left)
}

// TestPackagesThatCannotBeUsedAreRefused before apt is asked for anything, and leave no trace.
func TestPackagesThatCannotBeUsedAreRefused(t *testing.T) {
	t.Parallel()
	needs.Time(t)
	for want, packages := range map[string][]packed{
		"keepalived_2_amd64.deb is no Debian package":              {{"keepalived_2_amd64.deb", "<html>404</html>"}},
		"there is no package keepalived":                           {{"bird2_2_amd64.deb", control("bird2", "amd64")}},
		"keepalived is for arm64, this machine is amd64":           {{"keepalived_2_arm64.deb", control("keepalived", "arm64")}},
		"a_amd64.deb and b.deb are both keepalived for amd64":      {{"a_amd64.deb", control("keepalived", "amd64")}, {"b.deb", control("keepalived", "amd64")}},
		"keepalived is for arm64 and s390x, this machine is amd64": {{"a.deb", control("keepalived", "arm64")}, {"b.deb", control("keepalived", "s390x")}, {"c.deb", control("libc6", "amd64")}},
	} {
		t.Run(want, func(t *testing.T) {
			m := newMachine(t)
			m.bring(packages...)
			s, refused := status.Of(m.Apply(m.l, step.Step{Action: step.InstallPackage}))
			require.True(t, refused)
			require.Equal(t, "blocked: the charm's own packages cannot be installed: "+want+": see docs/how-to/offline.md", s.String())
			require.Empty(t, m.files())
			require.NotContains(t, m.says("calls"), "apt-get")
		})
	}
}

// TestOnlyAFileOfTheCharmIsAPackage: what a link names is none.
func TestOnlyAFileOfTheCharmIsAPackage(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.bring(packed{"keepalived", control("keepalived", "amd64")})
	dir := filepath.Join(filepath.Dir(m.charm), layout.Packages)
	require.NoError(t, os.Symlink(filepath.Join(dir, "keepalived"), filepath.Join(dir, "keepalived.deb")))
	require.ErrorContains(t, m.Apply(m.l, step.Step{Action: step.InstallPackage}), "keepalived.deb is no Debian package")
}

// debian is a package made by Debian's dpkg-deb.
func debian(t *testing.T, program, name, version, depends string) packed {
	t.Helper()
	dir := t.TempDir()
	require.NoError(t, os.Chmod(dir, 0o755))
	require.NoError(t, os.Mkdir(filepath.Join(dir, "DEBIAN"), 0o755))
	text := "Package: " + name + "\nVersion: " + version + "\nArchitecture: amd64\nMaintainer: x <x@x>\nDescription: x\n"
	if depends != "" {
		text += "Depends: " + depends + "\n"
	}
	require.NoError(t, os.WriteFile(filepath.Join(dir, "DEBIAN/control"), []byte(text), 0o644))
	file := filepath.Join(t.TempDir(), "x.deb")
	out, err := exec.Command(program, "--build", dir, file).CombinedOutput()
	require.NoError(t, err, "%s", out)
	content, err := os.ReadFile(file)
	require.NoError(t, err)
	return packed{name + "_" + version + "_amd64.deb", string(content)}
}

// TestAptSaysWhatIsMissing has Debian's apt-get and dpkg-deb decide.
func TestAptSaysWhatIsMissing(t *testing.T) {
	needs.Time(t)
	apt, deb := needs.Program(t, "apt-get"), needs.Program(t, "dpkg-deb")
	keepalived := debian(t, deb, "keepalived", "1:2.2.7-1", "libc6 (>= 2.34), libsnmp40 (>= 5.9), libnl-3-200")
	snmp, nl := debian(t, deb, "libsnmp40", "5.9", ""), debian(t, deb, "libnl-3-200", "3.7", "")
	archived := func(name, more string) string {
		return "Package: " + name + "\nVersion: 1\nArchitecture: amd64\nMaintainer: x <x@x>\nFilename: ./x.deb\nSize: 1\n" + more + "\n"
	}
	libc := strings.Replace(installed("libc6", "install", ""), "Version: 1\n", "Version: 2.36\n", 1)
	missing := func(what string) string {
		return "the charm's own packages cannot be installed: " + what + " missing: see docs/how-to/offline.md"
	}
	for claim, c := range map[string]struct {
		brought         []packed
		status, archive string
		refusal         string
		does            []string
	}{
		"all is there":                {[]packed{keepalived, snmp, nl}, libc, "", "", []string{"keepalived", "libsnmp40", "libnl-3-200"}},
		"some is missing":             {[]packed{keepalived, nl}, libc, "", missing("libsnmp40 (>= 5.9)"), nil},
		"all but keepalived is":       {[]packed{keepalived}, libc, "", missing("libsnmp40 (>= 5.9), libnl-3-200"), nil},
		"what is there is too old":    {[]packed{keepalived, snmp, nl}, libc + installed("libsnmp40", "install", ""), "", "", []string{"keepalived", "libsnmp40", "libnl-3-200"}},
		"too old, and no other":       {[]packed{keepalived, nl}, libc + installed("libsnmp40", "install", ""), "", missing("libsnmp40 (>= 5.9)"), nil},
		"an archive lacks it as well": {nil, libc, archived("keepalived", "Depends: libsnmp40 (>= 5.9)\n"), "keepalived cannot be installed: it needs libsnmp40 (>= 5.9), which no archive has: see apt-get install keepalived", nil},
	} {
		t.Run(claim, func(t *testing.T) {
			m := newMachine(t)
			require.NoError(t, os.Remove(m.programs.path("dpkg-deb")))
			require.NoError(t, os.Symlink(deb, m.programs.path("dpkg-deb")))
			dir := m.realApt(apt, c.status, c.archive)
			m.bring(c.brought...)
			err := m.Apply(m.l, step.Step{Action: step.InstallPackage})
			did := dpkgDid(dir)
			if c.refusal != "" {
				require.ErrorContains(t, err, c.refusal)
				_, refused := status.Of(err)
				require.True(t, refused)
				require.Empty(t, did)
				return
			}
			require.NoError(t, err)
			for _, name := range c.does {
				require.Contains(t, did, name)
			}
			require.NotContains(t, did, "libc6")
		})
	}
}

// TestADeletedFileComesFromTheCharmsPackages, where no archive has the package.
func TestADeletedFileComesFromTheCharmsPackages(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.set(t, "package", "installed")
	m.set(t, "needs", m.in(configOpts))
	m.set(t, "apt-fails", "download")
	m.bring(packed{"keepalived.deb", control("keepalived", "amd64")})
	m.apply(step.Step{Action: step.InstallPackage})
	require.Equal(t, control("keepalived", "amd64"), m.text(configOpts))
}
