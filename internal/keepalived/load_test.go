package keepalived_test

import (
	"net/netip"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"keepalived-charm/internal/keepalived"
	"keepalived-charm/internal/needs"
)

// loads are configurations of several files, main first of all, with the keywords x_... that
// keepalived sees in them: as it knows none of them it names them all.
func loads() map[string]struct {
	files map[string]string
	want  []string
} {
	return map[string]struct {
		files map[string]string
		want  []string
	}{
		"the words for an include": {map[string]string{"main": "include a\nincluder b\nincludem c\nincludew d\nincludeb e\nincludea f\n",
			"a": "x_a", "b": "x_b", "c": "x_c", "d": "x_d", "e": "x_e", "f": "x_f"}, []string{"x_a", "x_b", "x_c", "x_d", "x_e", "x_f"}},
		"wild cards and braces":        {map[string]string{"main": "include {a,b{1,2}}.conf\nincluder [cd]?\n", "a.conf": "x_a", "b2.conf": "x_b", "c1": "x_c", "e1": "x_e"}, []string{"x_a", "x_b", "x_c"}},
		"no names with a dot":          {map[string]string{"main": "include d/*\nincluder e/.*\nincludem [.]f\n", "d/.a": "x_a", "d/b": "x_b", ".d/c": "x_c", "e/.d": "x_d", ".f": "x_f"}, []string{"x_b", "x_d"}},
		"a comment in a class":         {map[string]string{"main": "include [!a]\nincluder [^b]\n", "a": "x_a", "b": "x_b"}, []string{"x_a"}},
		"relative to who includes":     {map[string]string{"main": "include d/a", "d/a": "include b", "d/b": "x_b", "b": "x_c"}, []string{"x_b"}},
		"no comment, and in a block":   {map[string]string{"main": "# include a\n! include a\nglobal_defs {\n  include b # a\n}\n", "a": "x_a", "b": "x_b"}, []string{"x_b"}},
		"definitions":                  {map[string]string{"main": "$A=x_a\n  $B= x_b # comment\n$A 1\n${B}\n${A}_c\n$A_d\n"}, []string{"x_a", "x_a_c", "x_b"}},
		"as it is where it is used":    {map[string]string{"main": "$A=${B}_a\n$B=x_1\n$A\n$B=x_2\n$A\n"}, []string{"x_1_a", "x_2_a"}},
		"of several lines":             {map[string]string{"main": "$A= \\\n x_a${N} \\\n x_b${N}\n$N=1\n$A\n$N=2\n$A\n"}, []string{"x_a1", "x_a2", "x_b1", "x_b2"}},
		"of a file for the next ones":  {map[string]string{"main": "include a\n$A\ninclude b\n", "a": "$A=x_a\n", "b": "${A}_b\n"}, []string{"x_a", "x_a_b"}},
		"a file twice":                 {map[string]string{"main": "$A=1\ninclude a\n$A=2\ninclude a\n", "a": "x_${A}\n"}, []string{"x_1", "x_2"}},
		"an include that is defined":   {map[string]string{"main": "$A=a\ninclude $A\n$I=include b\n$I\ninclude ${_PWD}/c\n", "a": "x_a", "b": "x_b", "c": "x_c"}, []string{"x_a", "x_b", "x_c"}},
		"one that follows an include":  {map[string]string{"main": "include a\n$A=x_a\n", "a": "$A x_b\nx_c\n"}, []string{"x_c"}},
		"no include goes on":           {map[string]string{"main": "include \\\n a\n", "a": "x_a"}, nil},
		"more than one file in a line": {map[string]string{"main": "include a b\n", "a": "x_a", "b": "x_b"}, nil},
	}
}

var keyword = regexp.MustCompile(`(?m)^\s*(x_\w+)`)

func TestFilesAreLoadedAsKeepalivedReadsThem(t *testing.T) {
	for claim, c := range loads() {
		assert.Equal(t, c.want, keywords(load(c.files)), claim)
	}
}

// load loads files of /etc, and leaves out whose lines they are.
func load(files map[string]string) string {
	loaded := keepalived.Load(keepalived.Definitions{}, "/etc/main", files["main"], func(pattern string) map[string]string {
		found := map[string]string{}
		for name, text := range files {
			if keepalived.Match(pattern, path.Join("/etc", name)) {
				found[path.Join("/etc", name)] = text
			}
		}
		return found
	})
	return regexp.MustCompile(`(?m)^\n# file: .*\n`).ReplaceAllString(loaded, "")
}

func keywords(text string) []string {
	var list []string
	for _, m := range keyword.FindAllStringSubmatch(text, -1) {
		list = append(list, m[1])
	}
	slices.Sort(list)
	return slices.Compact(list)
}

// TestTheRealKeepalivedReadsTheSame, of every release at hand.
func TestTheRealKeepalivedReadsTheSame(t *testing.T) {
	needs.Root(t)
	t.Parallel()
	for _, root := range daemons(t) {
		d := daemon{root}
		t.Run(d.version(t), func(t *testing.T) {
			t.Parallel()
			enterNamespace(t)
			for claim, c := range loads() {
				place, err := os.MkdirTemp(filepath.Join(root, "tmp"), "load-test-")
				require.NoError(t, err)
				t.Cleanup(func() { os.RemoveAll(place) })
				for name, text := range c.files {
					require.NoError(t, os.MkdirAll(filepath.Join(place, path.Dir(name)), 0o755))
					require.NoError(t, os.WriteFile(filepath.Join(place, name), []byte(text), 0o600))
				}
				said, _ := d.command("-t", "-f", path.Join("/tmp", filepath.Base(place), "main")).CombinedOutput()
				var list []string
				for _, m := range regexp.MustCompile(`Unknown keyword '(x_\w+)'`).FindAllStringSubmatch(string(said), -1) {
					list = append(list, m[1])
				}
				slices.Sort(list)
				assert.Equal(t, c.want, slices.Compact(list), "%s: %s", claim, said)
			}
		})
	}
}

// TestAnIncludeIsReadInItsPlace, and it is known which file each line is from.
func TestAnIncludeIsReadInItsPlace(t *testing.T) {
	files := map[string]string{
		"/etc/in":   "virtual_router_id 7\nvirtual_ipaddress {\n  include vips\n}",
		"/etc/vips": "10.0.0.7/24 \\\n",
		"/etc/defs": "vrrp_strict\n",
	}
	loaded := keepalived.Load(keepalived.Definitions{}, "/etc/main", "vrrp_instance A {\n  include in\n  interface eth0\n}\nglobal_defs {\n  include defs\n  a b\n}\n",
		func(name string) map[string]string { return map[string]string{name: files[name]} })
	address := []netip.Addr{netip.MustParseAddr("10.0.0.7")}
	require.Equal(t, []keepalived.Instance{{File: "/etc/main", Name: "A", Interface: "eth0", VirtualRouterID: 7, Addresses: address, Advertised: address}}, keepalived.Instances(loaded))
	var settings []string
	for _, s := range keepalived.Settings(loaded) {
		settings = append(settings, s.File+": "+strings.Join(s.Words, " "))
	}
	require.Equal(t, []string{"/etc/main: include /etc/defs", "/etc/defs: vrrp_strict", "/etc/main: a b"}, settings)
	require.Equal(t, []string{"/etc/main", "/etc/in", "/etc/vips", "/etc/defs"}, keepalived.Files(loaded))
}

func TestWhatDependsOnAConditionIsUnknown(t *testing.T) {
	for text, want := range map[string]string{
		"@a $A=x\nv $A w\n":         "v $A w\n",
		"$A=y\n@^a $A=x\nv ${A}\n":  "v $A\n",
		"@a $A=x\n$A=y\nv $A\n":     "v y\n",
		"v ${_RANDOM 1 2}.3\n":      "v $_RANDOM.3\n",
		"$A=@a\n$A v\n@b include x": "@a v\ninclude \"/etc/x\"\n",
	} {
		got := load(map[string]string{"main": text})
		require.Equal(t, want, strings.TrimRight(got, "\n")+"\n", text)
		require.Equal(t, strings.Contains(want, "$"), keepalived.Unknown(got), text)
	}
}

func FuzzLoad(f *testing.F) {
	f.Add("$A=x\\\n$B\n$B=$A$A \n$A\ninclude {a,b{c,d}}*", "@x $A={\ninclude /etc/main")
	f.Add("$A=${A}${A}\n$A", "$B= \\\n$B \\\n$B \n$B")
	f.Add("include {{{,,},}{,}}{}", "include *\ninclude *")
	f.Fuzz(func(t *testing.T, main, other string) {
		text := keepalived.Load(keepalived.Definitions{}, "/etc/main", main, func(string) map[string]string { return map[string]string{"/etc/other": other, "/etc/main": main} })
		files := keepalived.Files(text)
		for _, s := range keepalived.Settings(text) {
			require.NotEmpty(t, s.Words)
			require.Contains(t, files, s.File)
		}
		for _, i := range keepalived.Instances(text) {
			require.Contains(t, files, i.File)
		}
	})
}
