package archive_test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const outputs = `# Written from metadata.yaml by make docs.

output "app_name" {
  description = "Name of the application."
  value       = juju_application.keepalived.name
}

output "application" {
  description = "The application, with all that the provider knows of it."
  value       = juju_application.keepalived
}
`

// TestTheManualOfTerraform: the module's outputs have each endpoint of metadata.yaml.
func TestTheManualOfTerraform(t *testing.T) {
	text := outputs
	for _, side := range []string{"provides", "requires"} {
		text += fmt.Sprintf("\noutput %q {\n  description = \"Endpoints that the charm %s, for juju_integration.\"\n  value = {\n", side, side)
		for _, endpoint := range names(t, "metadata.yaml", side) {
			text += fmt.Sprintf(`    %s = {
      kind       = "endpoint"
      name       = juju_application.keepalived.name
      endpoint   = %q
      controller = null
    }
`, strings.ReplaceAll(endpoint, "-", "_"), endpoint)
		}
		text += "  }\n}\n"
	}
	path := root + "/terraform/outputs.tf"
	if os.Getenv("UPDATE_GOLDEN") != "" {
		require.NoError(t, os.WriteFile(path, []byte(text), 0o644))
	}
	got, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, text, string(got), "make docs writes terraform/outputs.tf anew")
}
