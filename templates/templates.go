// Package templates holds the text of every file that the charm writes on a
// machine. Templates print values; they decide nothing.
package templates

import (
	"embed"
	"fmt"
	"strings"
	"sync"
	"text/template"
)

//go:embed *.tmpl
var files embed.FS

// parsed are all templates, read when the first is filled.
var parsed = sync.OnceValues(func() (*template.Template, error) {
	return template.New("").Option("missingkey=error").Funcs(template.FuncMap{"format": Format}).ParseFS(files, "*.tmpl")
})

// Render fills one template, named without its ending. It fails on a name or a
// field that does not exist, which is a fault of the charm.
func Render(name string, data any) (string, error) {
	all, err := parsed()
	if err != nil {
		return "", fmt.Errorf("cannot read templates: %w", err)
	}
	var b strings.Builder
	if err := all.ExecuteTemplate(&b, name+".tmpl", data); err != nil {
		return "", fmt.Errorf("cannot fill template %s: %w", name, err)
	}
	return b.String(), nil
}
