package templates

// Format is the number of a text that all applications on a machine share, by the
// template's name: of several revisions the latest keeps it.
func Format(name string) int {
	return map[string]int{"keepalived.conf": 2, "sysctl.conf": 2}[name] + later
}
