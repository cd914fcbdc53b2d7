// Package plain tells words of plain characters: names that mean nothing but themselves
// in a file, a command line or a unit's name. It stands in for regular expressions where
// a list of characters says it all: those are compiled anew in every hook.
package plain

import "strings"

// Word tells whether s consists of 1 to most bytes, each an ASCII letter, a digit or one
// of others.
func Word(s string, most int, others string) bool {
	if s == "" || len(s) > most {
		return false
	}
	for n := range len(s) {
		if c := s[n]; !letter(c) && !Digit(c) && strings.IndexByte(others, c) < 0 {
			return false
		}
	}
	return true
}

// Of tells whether s consists of so many bytes, each one of set.
func Of(s string, length int, set string) bool {
	return len(s) == length && strings.Trim(s, set) == ""
}

// Hostname tells a name of the DNS (RFC 1034 section 3.1): labels of at most 63
// characters, a dot behind the last or not. Underscores are no part of host names (RFC
// 1123 section 2.1), yet of names that are in use. What ends with a label of digits alone
// is no name but an address that was mistyped (same section).
func Hostname(s string) bool {
	labels := strings.Split(strings.TrimSuffix(s, "."), ".")
	for _, l := range labels {
		if !Word(l, 63, "_-") || l[0] == '-' || l[len(l)-1] == '-' {
			return false
		}
	}
	return len(s) <= 253 && strings.Trim(labels[len(labels)-1], "0123456789") != ""
}

// Digit tells an ASCII digit.
func Digit(c byte) bool { return '0' <= c && c <= '9' }

func letter(c byte) bool { return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' }

// Hex are the digits of a number in hexadecimal, as Go and the kernel write them.
const Hex = "0123456789abcdef"
