package keepalived

import (
	"math"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// Setting is one line of a configuration that concerns every instance: at top level or in
// global_defs; or those on some interfaces, in a garp_group.
type Setting struct {
	Words []string
	// On are the interfaces that it is for; nil for all.
	On []string
	// Address and Number are its value, the second word, where it is one: the zero Addr and
	// NaN otherwise.
	Address netip.Addr
	Number  float64
}

// Settings reads such lines of anybody's configuration. A line with a condition
// (@NAME, keepalived.conf(5)) counts whatever the condition. It never fails: what it
// cannot read sets nothing, nor does a garp_group that names no interface.
func Settings(text string) []Setting {
	var list []Setting
	var groups []int         // that each is in, 0 for none
	on := map[int][]string{} // what a group is for
	walk(text, func(top int, blocks, words []string) {
		switch {
		case len(blocks) == 0 || len(blocks) == 1 && blocks[0] == "global_defs":
			list, groups = append(list, Setting{Words: words}), append(groups, 0)
		case blocks[0] != "garp_group":
		case len(blocks) == 2 && blocks[1] == "interfaces":
			on[top] = append(on[top], words...)
		case len(blocks) == 1 && words[0] == "interface":
			on[top] = append(on[top], words[1:]...)
		case len(blocks) == 1:
			list, groups = append(list, Setting{Words: words}), append(groups, top)
		}
	})
	var all []Setting
	for n, s := range list {
		if s.On = on[groups[n]]; groups[n] == 0 || s.On != nil {
			s.Number = math.NaN()
			if len(s.Words) > 1 {
				s.Address, _ = netip.ParseAddr(s.Words[1])
				if n, err := strconv.ParseFloat(s.Words[1], 64); err == nil {
					s.Number = n
				}
			}
			all = append(all, s)
		}
	}
	return all
}

// walk calls visit for each line that is not empty, with the names of the blocks that
// it stands in, and the number of the outermost. A block begins behind its name, or on
// the next line.
func walk(text string, visit func(top int, blocks, words []string)) {
	var blocks, words []string
	top := 0
	last := "" // the first word of the last line
	flush := func() {
		if len(words) > 0 {
			visit(top, blocks, words)
			last, words = words[0], nil
		}
	}
	for line := range strings.Lines(strings.ReplaceAll(text, "\\\n", " ")) {
		fields := split(line)
		if len(fields) > 0 && strings.HasPrefix(fields[0], "@") {
			fields = fields[1:]
		}
		for _, w := range fields {
			switch w {
			case "{":
				name := last
				if len(words) > 0 {
					name, words = words[0], nil
				}
				if len(blocks) == 0 {
					top++
				}
				blocks = append(slices.Clip(blocks), name)
				last = ""
			case "}":
				flush()
				blocks = blocks[:max(0, len(blocks)-1)]
				last = ""
			default:
				words = append(words, strings.Trim(w, `"'`))
			}
		}
		flush()
	}
}

// split returns the words and braces of a line without its comment. White space,
// braces and comment signs in quotes are part of a word.
func split(line string) []string {
	var list []string
	word, quote := "", rune(0)
	end := func() {
		if word != "" {
			list = append(list, word)
			word = ""
		}
	}
	for _, c := range line {
		switch {
		case quote != 0:
			word += string(c)
			if c == quote {
				quote = 0
			}
		case c == '"' || c == '\'':
			word += string(c)
			quote = c
		case c == '#' || c == '!':
			end()
			return list
		case c == '{' || c == '}':
			end()
			list = append(list, string(c))
		case strings.ContainsRune(" \t\r\n\v\f", c):
			end()
		default:
			word += string(c)
		}
	}
	end()
	return list
}
