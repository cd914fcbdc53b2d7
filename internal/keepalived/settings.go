package keepalived

import (
	"slices"
	"strings"
)

// Setting is one line of a configuration that concerns every instance: at top level,
// in global_defs or in a garp_group.
type Setting []string

// Settings reads such lines of anybody's configuration. A line with a condition
// (@NAME, keepalived.conf(5)) counts whatever the condition. It never fails: what it
// cannot read sets nothing.
func Settings(text string) []Setting {
	var list []Setting
	walk(text, func(blocks []string, words []string) {
		if len(blocks) == 0 || len(blocks) == 1 && slices.Contains([]string{"global_defs", "garp_group"}, blocks[0]) {
			list = append(list, words)
		}
	})
	return list
}

// Includes returns the patterns of the files that a configuration includes.
func Includes(text string) []string {
	var list []string
	walk(text, func(_, words []string) {
		if words[0] == "include" && len(words) > 1 {
			list = append(list, words[1])
		}
	})
	return list
}

// walk calls visit for each line that is not empty, with the names of the blocks that
// it stands in. A block begins behind its name, or on the next line.
func walk(text string, visit func(blocks, words []string)) {
	var blocks, words []string
	last := "" // the first word of the last line
	flush := func() {
		if len(words) > 0 {
			visit(blocks, words)
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
