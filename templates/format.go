//go:build !neighbour

package templates

// format is the number of a text that all applications on a machine share.
func format(number int) int { return number }
