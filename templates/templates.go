// Package templates holds the text of every file that the charm writes on a
// machine. Templates print values; they decide nothing.
package templates

import (
	"embed"
	"fmt"
	"strings"
	"text/template"
)

//go:embed *.tmpl
var files embed.FS

// Render fills one template, named without its ending. It fails on a name or a
// field that does not exist, which is a fault of the charm.
func Render(name string, data any) (string, error) {
	t, err := template.New(name+".tmpl").Option("missingkey=error").ParseFS(files, name+".tmpl")
	if err != nil {
		return "", fmt.Errorf("cannot read template %s: %w", name, err)
	}
	var b strings.Builder
	if err := t.Execute(&b, data); err != nil {
		return "", fmt.Errorf("cannot fill template %s: %w", name, err)
	}
	return b.String(), nil
}
