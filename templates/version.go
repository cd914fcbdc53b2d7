//go:build !neighbour

package templates

const later = 0
