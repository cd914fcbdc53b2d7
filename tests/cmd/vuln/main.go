// Command vuln looks the charm's program up in Go's vulnerability database, without a network
// but for the module proxy: vuln GOVULNCHECK REPORTS PACKAGE has govulncheck read the reports in
// directory REPORTS (data/osv of golang.org/x/vulndb), and fails on those whose code PACKAGE
// calls. Those of packages that it merely links are named.
package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

func main() {
	if len(os.Args) != 4 {
		fmt.Fprintln(os.Stderr, "usage: vuln GOVULNCHECK REPORTS PACKAGE")
		os.Exit(2)
	}
	if err := run(os.Args[1], os.Args[2], os.Args[3]); err != nil {
		fmt.Fprintln(os.Stderr, "vuln: "+err.Error())
		os.Exit(1)
	}
}

func run(govulncheck, reports, pkg string) error {
	dir, err := os.MkdirTemp("", "vulndb")
	if err != nil {
		return fmt.Errorf("cannot make a database: %w", err)
	}
	defer os.RemoveAll(dir)
	count, err := index(reports, dir)
	if err != nil {
		return err
	}
	cmd := exec.Command(govulncheck, "-format", "json", "-db", "file://"+dir, pkg)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, os.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("cannot run govulncheck: %w", err)
	}
	called, linked, err := findings(&out)
	if err != nil {
		return err
	}
	for _, id := range slices.Sorted(maps.Keys(linked)) {
		if called[id] == "" {
			fmt.Printf("%s is linked, %s, and not called: https://pkg.go.dev/vuln/%s\n", id, linked[id], id)
		}
	}
	for _, id := range slices.Sorted(maps.Keys(called)) {
		fmt.Printf("%s is called, %s: https://pkg.go.dev/vuln/%s\n", id, called[id], id)
	}
	if len(called) > 0 {
		return fmt.Errorf("%s calls what %d reports are about, see above", pkg, len(called))
	}
	fmt.Printf("%s calls nothing that one of %d reports is about\n", pkg, count)
	return nil
}

// report is what the index needs of a report (OSV, ossf.github.io/osv-schema).
type report struct {
	ID       string
	Affected []struct{ Package struct{ Name string } }
}

type entry struct {
	ID string `json:"id"`
}

type module struct {
	Path  string  `json:"path"`
	Vulns []entry `json:"vulns"`
}

// index makes a database (go.dev/doc/security/vuln/database) of a directory of reports, and
// tells how many there are.
func index(reports, dir string) (int, error) {
	files, err := filepath.Glob(filepath.Join(reports, "GO-*.json"))
	if err != nil || len(files) == 0 {
		return 0, fmt.Errorf("cannot read reports: none in %s", reports)
	}
	for _, d := range []string{"ID", "index"} {
		if err := os.Mkdir(filepath.Join(dir, d), 0o755); err != nil {
			return 0, fmt.Errorf("cannot make a database: %w", err)
		}
	}
	vulns, by := []entry{}, map[string][]entry{}
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			return 0, fmt.Errorf("cannot read a report: %w", err)
		}
		var r report
		if err := json.Unmarshal(raw, &r); err != nil {
			return 0, fmt.Errorf("cannot read %s: %w", file, err)
		}
		vulns = append(vulns, entry{r.ID})
		for _, a := range r.Affected {
			if list := by[a.Package.Name]; !slices.Contains(list, entry{r.ID}) {
				by[a.Package.Name] = append(list, entry{r.ID})
			}
		}
		if err := os.WriteFile(filepath.Join(dir, "ID", r.ID+".json"), raw, 0o644); err != nil {
			return 0, fmt.Errorf("cannot write a report: %w", err)
		}
	}
	modules := []module{}
	for _, path := range slices.Sorted(maps.Keys(by)) {
		modules = append(modules, module{path, by[path]})
	}
	for name, value := range map[string]any{
		"db": map[string]string{"modified": "1970-01-01T00:00:00Z"}, "vulns": vulns, "modules": modules,
	} {
		raw, err := json.Marshal(value)
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, "index", name+".json"), raw, 0o644)
		}
		if err != nil {
			return 0, fmt.Errorf("cannot write the index: %w", err)
		}
	}
	return len(files), nil
}

// findings reads what govulncheck says: the reports whose code is called, each with a function,
// and those of packages that are linked. Others are of modules that are only required.
func findings(said io.Reader) (called, linked map[string]string, err error) {
	called, linked = map[string]string{}, map[string]string{}
	for d := json.NewDecoder(said); ; {
		var message struct {
			Finding *struct {
				OSV   string
				Trace []struct{ Module, Version, Package, Function, Receiver string }
			}
		}
		if err := d.Decode(&message); errors.Is(err, io.EOF) {
			return called, linked, nil
		} else if err != nil {
			return nil, nil, fmt.Errorf("cannot read what govulncheck says: %w", err)
		}
		f := message.Finding
		if f == nil || len(f.Trace) == 0 {
			continue
		}
		switch t := f.Trace[0]; {
		case t.Function != "":
			called[f.OSV] = fmt.Sprintf("%s of %s@%s", strings.TrimPrefix(t.Receiver+"."+t.Function, "."), t.Package, t.Version)
		case t.Package != "":
			linked[f.OSV] = fmt.Sprintf("%s@%s", t.Package, t.Version)
		}
	}
}
