package layout_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"keepalived-charm/internal/layout"
)

// files are all that package layout names below a directory, and .ended: by methods, and by
// constants, which a program does not find by itself.
func files(t *testing.T) []string {
	t.Helper()
	l := layout.Layout{Application: "APP"}
	var list []string
	of, value := reflect.TypeOf(l), reflect.ValueOf(l)
	for n := range of.NumMethod() {
		if of.Method(n).Type.NumIn() != 1 {
			continue
		}
		switch found := value.Method(n).Call(nil)[0].Interface().(type) {
		case string:
			list = append(list, found)
		case []string:
			list = append(list, found...)
		}
	}
	source, err := parser.ParseFile(token.NewFileSet(), "layout.go", nil, 0)
	require.NoError(t, err)
	known := map[string]string{}
	var text func(ast.Expr) string
	text = func(e ast.Expr) string {
		switch e := e.(type) {
		case *ast.BasicLit:
			s, err := strconv.Unquote(e.Value)
			require.NoError(t, err)
			return s
		case *ast.Ident:
			return known[e.Name]
		case *ast.BinaryExpr:
			return text(e.X) + text(e.Y)
		}
		return ""
	}
	ast.Inspect(source, func(n ast.Node) bool {
		if spec, ok := n.(*ast.ValueSpec); ok && spec.Names[0].IsExported() {
			known[spec.Names[0].Name] = text(spec.Values[0])
			list = append(list, known[spec.Names[0].Name])
		}
		return true
	})
	directories := []string{layout.ConfigDir, layout.FragmentDir, layout.StateRoot, layout.RunRoot, l.State(), l.Run()}
	list = slices.DeleteFunc(list, func(p string) bool {
		return slices.Contains(directories, p) || !strings.HasPrefix(p, "/") && !slices.Contains([]string{layout.EndMark, layout.DepartMark, layout.Packages}, p)
	})
	slices.Sort(list)
	return slices.Compact(list)
}

// TestEveryFileHasARowInTheArchitecture: who writes it, who reads it, and what it is.
func TestEveryFileHasARowInTheArchitecture(t *testing.T) {
	text, err := os.ReadFile("../../docs/explanation/architecture.md")
	require.NoError(t, err)
	_, rest, found := strings.Cut(string(text), "| file | written by | read by | what it is |\n| --- | --- | --- | --- |\n")
	require.True(t, found)
	table, _, _ := strings.Cut(rest, "\n\n")
	var listed []string
	for row := range strings.Lines(table) {
		cells := strings.Split(row, " | ")
		require.Len(t, cells, 4, row)
		dir := "" // of the names that follow in a cell
		for n, name := range strings.Split(cells[0], "`") {
			switch name = strings.TrimSuffix(name, "/"); {
			case n%2 == 0 || strings.Contains(name, "-N"):
			case strings.HasPrefix(name, "/"):
				dir = path.Dir(name)
				listed = append(listed, name)
			default:
				listed = append(listed, path.Join(dir, name))
			}
		}
	}
	slices.Sort(listed)
	require.Equal(t, files(t), listed)
}
