package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestTheIndexNamesTheReportsOfEachModule(t *testing.T) {
	reports, dir := t.TempDir(), t.TempDir()
	for id, text := range map[string]string{
		"GO-2025-0001": `{"id":"GO-2025-0001","affected":[{"package":{"name":"a.example/m"}},{"package":{"name":"a.example/m"}},{"package":{"name":"b.example/m"}}]}`,
		"GO-2025-0002": `{"id":"GO-2025-0002","affected":[{"package":{"name":"a.example/m"}}]}`,
	} {
		require.NoError(t, os.WriteFile(filepath.Join(reports, id+".json"), []byte(text), 0o644))
	}
	count, err := index(reports, dir)
	require.NoError(t, err)
	require.Equal(t, 2, count)
	raw, err := os.ReadFile(filepath.Join(dir, "index", "modules.json"))
	require.NoError(t, err)
	var modules []module
	require.NoError(t, json.Unmarshal(raw, &modules))
	require.Equal(t, []module{
		{"a.example/m", []entry{{"GO-2025-0001"}, {"GO-2025-0002"}}},
		{"b.example/m", []entry{{"GO-2025-0001"}}},
	}, modules)
	require.FileExists(t, filepath.Join(dir, "ID", "GO-2025-0002.json"))

	_, err = index(t.TempDir(), t.TempDir())
	require.ErrorContains(t, err, "none in", "a database that is not there finds nothing, and must not pass")
}

func TestOnlyWhatIsCalledCounts(t *testing.T) {
	called, linked, err := findings(strings.NewReader(`{"config":{}}
{"finding":{"osv":"GO-2025-0001","trace":[{"module":"m","version":"v1.0.0"}]}}
{"finding":{"osv":"GO-2025-0002","trace":[{"module":"m","version":"v1.0.0","package":"m/p"}]}}
{"finding":{"osv":"GO-2025-0003","trace":[{"module":"m","version":"v1.0.0","package":"m/p"}]}}
{"finding":{"osv":"GO-2025-0003","trace":[{"module":"m","version":"v1.0.0","package":"m/p","function":"F","receiver":"*T"},{"module":"main"}]}}
`))
	require.NoError(t, err)
	require.Equal(t, map[string]string{"GO-2025-0003": "*T.F of m/p@v1.0.0"}, called)
	require.Equal(t, map[string]string{"GO-2025-0002": "m/p@v1.0.0", "GO-2025-0003": "m/p@v1.0.0"}, linked)
	_, _, err = findings(strings.NewReader(`{"finding":`))
	require.Error(t, err)
}
