package lab

import (
	"archive/zip"
	"bytes"
	"embed"
	"fmt"
	"os"
	"path"
	"path/filepath"
)

// pythonFiles is a stand-in for the Python charm that keepalived replaces: its
// name, endpoints and options, and hooks that leave what its hooks were observed
// to leave on a machine and in databags. It is no Python.
//
//go:embed python
var pythonFiles embed.FS

// pythonHooks are the hooks of the stand-in. As with the Python charm each is a
// file of its own, and there is no dispatch.
var pythonHooks = []string{"install", "leader-elected", "leader-settings-changed", "config-changed", "start", "update-status",
	"upgrade-charm", "stop", "website-relation-joined", "website-relation-changed",
	"loadbalancer-relation-joined", "loadbalancer-relation-changed"}

// packPython writes the stand-in's archive.
func packPython(file string) error {
	var archive bytes.Buffer
	z := zip.NewWriter(&archive)
	add := func(name string, text []byte, mode os.FileMode) error {
		header := &zip.FileHeader{Name: name, Method: zip.Deflate}
		header.SetMode(mode)
		w, err := z.CreateHeader(header)
		if err == nil {
			_, err = w.Write(text)
		}
		return err
	}
	texts := map[string]string{
		"reactive/keepalived.py":       "# the Python charm's handlers\n",
		"lib/charms/layer/basic.py":    "# a library of the Python charm\n",
		"templates/keepalived.conf.j2": "# a template of the Python charm\n",
	}
	for _, name := range []string{"metadata.yaml", "config.yaml", "manifest.yaml"} {
		text, err := pythonFiles.ReadFile(path.Join("python", name))
		if err != nil {
			return fmt.Errorf("cannot pack the stand-in for the Python charm: %w", err)
		}
		texts[name] = string(text)
	}
	for name, text := range texts {
		if err := add(name, []byte(text), 0o644); err != nil {
			return fmt.Errorf("cannot pack the stand-in for the Python charm: %w", err)
		}
	}
	hook, err := pythonFiles.ReadFile("python/hook")
	for _, name := range pythonHooks {
		if err == nil {
			err = add(path.Join("hooks", name), hook, 0o755)
		}
	}
	if err == nil {
		err = z.Close()
	}
	if err == nil {
		err = os.WriteFile(file, archive.Bytes(), 0o644)
	}
	if err != nil {
		return fmt.Errorf("cannot pack the stand-in for the Python charm: %w", err)
	}
	return nil
}

// Python packs the stand-in for the Python charm, and returns the file.
func (l *Lab) Python() (string, error) {
	file := filepath.Join(l.Net.Dir, "python.charm")
	return file, packPython(file)
}

// DeployPython deploys the stand-in for the Python charm as application
// keepalived; Refresh upgrades it to the charm of this lab.
func (l *Lab) DeployPython(config map[string]string) error {
	file, err := l.Python()
	if err != nil {
		return err
	}
	return l.juju(append([]string{"deploy", file, "keepalived", "--base", principalBase}, configArgs(config)...)...)
}
