package chaos

import "fmt"

// Document is the report as a page of its own.
func (r Report) Document() string {
	return fmt.Sprintf("# Faults\n\n%s, %s\n\n%s", r.Date, r.Machine, r.Table())
}
