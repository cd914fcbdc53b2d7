package keepalived

import (
	"math"
	"net/netip"
	"strconv"
	"strings"
)

// Setting is one line of a configuration that concerns every instance: at top level or in
// global_defs; or those on some interfaces, in a garp_group or interface_up_down_delays.
type Setting struct {
	// File is the one of a loaded text in which it stands.
	File  string
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
	walk(text, func(at place, words []string) {
		switch depth := len(at.blocks); {
		case depth == 0 || depth == 1 && at.block(0) == "global_defs":
			list, groups = append(list, Setting{File: at.file, Words: words}), append(groups, 0)
		case depth == 1 && at.block(0) == upDownDelays && len(words) > 1:
			s := Setting{File: at.file, Words: append([]string{upDownDelays}, words[1:]...), On: words[:1]}
			list, groups = append(list, s), append(groups, 0)
		case at.block(0) != "garp_group":
		case depth == 2 && at.block(1) == "interfaces":
			on[at.top] = append(on[at.top], words...)
		case depth == 1 && words[0] == "interface":
			on[at.top] = append(on[at.top], words[1:]...)
		case depth == 1:
			list, groups = append(list, Setting{File: at.file, Words: words}), append(groups, at.top)
		}
	})
	var all []Setting
	for n, s := range list {
		if groups[n] != 0 {
			s.On = on[groups[n]]
		}
		if groups[n] == 0 || s.On != nil {
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

// upDownDelays is a block with a line for each interface: name, down delay, up delay.
const upDownDelays = "interface_up_down_delays"

// place is where a line stands: in blocks, with the words before their braces, the outermost
// first, of which top is the number and from the file in which it began.
type place struct {
	file, from string
	top        int
	blocks     [][]string
}

// block is the first word of a block, empty where there is none.
func (p place) block(n int) string {
	if n >= len(p.blocks) || len(p.blocks[n]) == 0 {
		return ""
	}
	return p.blocks[n][0]
}

// walk calls visit for each line that is not empty, with a place that is good until it returns.
// A block begins behind its name, or on the next line.
func walk(text string, visit func(at place, words []string)) {
	var at place
	var words, last []string // last is the line before
	flush := func() {
		if len(words) > 0 {
			visit(at, words)
			last, words = words, nil
		}
	}
	for line := range strings.Lines(strings.ReplaceAll(text, "\\\n", " ")) {
		if file, ok := strings.CutPrefix(strings.TrimSuffix(line, "\n"), fileMark); ok {
			at.file = file
			continue
		}
		fields := split(line)
		if len(fields) > 0 && strings.HasPrefix(fields[0], "@") {
			fields = fields[1:]
		}
		for _, w := range fields {
			switch w {
			case "{":
				name := last
				if len(words) > 0 {
					name, words = words, nil
				}
				if len(at.blocks) == 0 {
					at.top++
					at.from = at.file
				}
				at.blocks = append(at.blocks, name)
				last = nil
			case "}":
				flush()
				at.blocks = at.blocks[:max(0, len(at.blocks)-1)]
				last = nil
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
	begin, quote := -1, rune(0) // where the word began, and the quote that is open
	end := func(at int) {
		if begin >= 0 {
			list = append(list, line[begin:at])
			begin = -1
		}
	}
	for at, c := range line {
		switch {
		case quote != 0:
			if c == quote {
				quote = 0
			}
		case c == '#' || c == '!':
			end(at)
			return list
		case c == '{' || c == '}':
			end(at)
			list = append(list, line[at:at+1])
		case strings.ContainsRune(" \t\r\n\v\f", c):
			end(at)
		default:
			if c == '"' || c == '\'' {
				quote = c
			}
			if begin < 0 {
				begin = at
			}
		}
	}
	end(len(line))
	return list
}
