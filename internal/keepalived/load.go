package keepalived

import (
	"maps"
	"path"
	"slices"
	"strings"
)

// Definitions are what $NAME and ${NAME} stand for in a configuration, as far as it has been
// read (keepalived.conf(5), Parameter substitution); nil for what is not known, as it depends
// on a condition.
type Definitions map[string]*string

// What is read of one configuration at most, so that one which includes or defines itself comes
// to an end.
const (
	mostFiles = 100      // and patterns of files
	mostBytes = 16 << 20 // also those that are replaced
	longest   = 4096     // a line; keepalived takes about 1000 bytes
	deepest   = 20
)

// Unknown tells a word of a loaded text that has a reference without a definition.
func Unknown(word string) bool { return strings.Contains(word, "$") }

// fileMark begins a line of a loaded text that names the file of those which follow.
const fileMark = "# file: "

// Load returns the text of a file as keepalived reads it: files that it includes behind the line
// of the include, which has the pattern from the root; definitions replaced, without those and
// without comments; a reference that is not known is $NAME. d are those of before, and changes.
// find returns the files whose path matches a pattern, see Match. A line with a condition
// counts whatever the condition.
func Load(d Definitions, file, text string, find func(pattern string) map[string]string) string {
	l := loading{Definitions: d, find: find, files: mostFiles, bytes: mostBytes}
	l.read(file, text, 0)
	return l.text.String()
}

// Match tells whether a pattern of an include finds a path, by the rules of path.Match and of
// glob(7): what begins with a dot is found by a pattern that does.
func Match(pattern, name string) bool {
	if found, err := path.Match(pattern, name); err != nil || !found {
		return false
	}
	patterns := strings.Split(pattern, "/")
	for n, part := range strings.Split(name, "/") {
		if strings.HasPrefix(part, ".") && n < len(patterns) && !strings.HasPrefix(strings.TrimPrefix(patterns[n], `\`), ".") {
			return false
		}
	}
	return true
}

// Files lists the files that a loaded text is from.
func Files(loaded string) []string {
	var list []string
	for line := range strings.Lines(loaded) {
		if file, ok := strings.CutPrefix(strings.TrimSuffix(line, "\n"), fileMark); ok && !slices.Contains(list, file) {
			list = append(list, file)
		}
	}
	return list
}

type loading struct {
	Definitions
	find         func(pattern string) map[string]string
	text         strings.Builder
	files, bytes int // that are left
}

func (l *loading) read(file, text string, depth int) {
	if l.files--; l.files < 0 || depth > deepest {
		return
	}
	dir, before := path.Dir(file), l.Definitions["_PWD"]
	l.Definitions["_PWD"] = &dir
	l.mark(file)
	l.lines(file, text, depth)
	l.Definitions["_PWD"] = before
}

// mark tells which file follows. The last line of the one before does not go on there.
func (l *loading) mark(file string) { l.text.WriteString("\n" + fileMark + file + "\n") }

// lines reads lines of a file, or of a definition that has several.
func (l *loading) lines(file, text string, depth int) {
	for more := true; more && l.bytes > 0; {
		var line string
		line, text, more = strings.Cut(text, "\n")
		l.bytes -= len(line) + 1
		line = strings.TrimSpace(uncomment(line))
		if name, value, sometimes := definition(line); name != "" {
			value, goesOn := strings.CutSuffix(value, `\`)
			for goesOn && more && len(value) < longest {
				line, text, more = strings.Cut(text, "\n")
				l.bytes -= len(line) + 1
				line, goesOn = strings.CutSuffix(strings.TrimSpace(uncomment(line)), `\`)
				value += "\n" + line
			}
			if l.Definitions[name] = &value; sometimes {
				l.Definitions[name] = nil
			}
			continue
		}
		line = l.replace(line)
		if strings.Contains(line, "\n") && depth < deepest {
			l.lines(file, line, depth+1)
			continue
		}
		words := strings.Fields(line)
		if len(words) > 0 && strings.HasPrefix(words[0], "@") {
			words = words[1:]
		}
		if len(words) > 1 && slices.Contains(includes(), words[0]) {
			l.include(file, strings.Trim(strings.Join(words[1:], " "), `"'`), depth)
			l.mark(file)
			continue
		}
		l.text.WriteString(bare(line) + "\n")
	}
}

func includes() []string {
	return []string{"include", "includer", "includem", "includew", "includeb", "includea"}
}

// include reads the files of a pattern, which is relative to the file that includes.
func (l *loading) include(file, pattern string, depth int) {
	if !path.IsAbs(pattern) {
		pattern = path.Join(path.Dir(file), pattern)
	}
	for _, p := range alternatives(pattern) {
		if l.files--; l.files < 0 {
			return
		}
		l.text.WriteString("include \"" + p + "\"\n")
		found := l.find(p)
		for _, name := range slices.Sorted(maps.Keys(found)) {
			l.read(name, found[name], depth+1)
		}
	}
}

// definition takes a line that is one apart: [@CONDITION] $NAME=VALUE; no name for another.
func definition(line string) (name, value string, sometimes bool) {
	if sometimes = strings.HasPrefix(line, "@"); sometimes {
		_, line, _ = strings.Cut(line, " ")
		line = strings.TrimSpace(line)
	}
	line, defines := strings.CutPrefix(line, "$")
	if n := identifier(line); defines && n > 0 && strings.HasPrefix(line[n:], "=") {
		return line[:n], strings.TrimSpace(line[n+1:]), sometimes
	}
	return "", "", false
}

// identifier is the length of the name with which a text begins.
func identifier(text string) int {
	for n, c := range []byte(text) {
		switch {
		case c == '_' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z':
		case n > 0 && '0' <= c && c <= '9':
		default:
			return n
		}
	}
	return len(text)
}

// reference is the name that a text refers to which begins behind a $, and its length; no name
// for other text. Without braces only certain bytes may follow.
func reference(text string) (name string, length int) {
	if inner, braced := strings.CutPrefix(text, "{"); braced {
		if n := identifier(inner); n > 0 && strings.HasPrefix(inner[n:], "}") {
			return inner[:n], n + 2
		}
		return "", 0
	}
	if n := identifier(text); n == len(text) || strings.IndexByte(" \t,)\n", text[n]) >= 0 {
		return text[:n], n
	}
	return "", 0
}

// replace puts definitions in a line in their place, and those in these.
func (l *loading) replace(line string) string {
	for at := 0; ; {
		n := strings.IndexByte(line[at:], '$')
		if n < 0 {
			return line
		}
		begin := at + n
		at = begin + 1
		name, length := reference(line[at:])
		value := l.Definitions[name]
		if value == nil || l.bytes <= 0 || len(line)+len(*value) > longest {
			continue
		}
		line, at = line[:begin]+*value+line[begin+1+length:], begin
		l.bytes -= len(line)
	}
}

// bare takes the braces from references that are not known: ${NAME}, or ${NAME 1 2}.
func bare(line string) string {
	var b strings.Builder
	for {
		before, after, found := strings.Cut(line, "${")
		b.WriteString(before)
		if !found {
			return b.String()
		}
		inner, rest, closed := strings.Cut(after, "}")
		if !closed {
			return b.String() + "$" + after
		}
		name, _, _ := strings.Cut(inner, " ")
		b.WriteString("$" + name)
		line = rest
	}
}

// alternatives are the patterns that one with braces stands for (glob(3), GLOB_BRACE).
func alternatives(pattern string) []string {
	list, done := []string{pattern}, []string{}
	for len(list) > 0 && len(list)+len(done) < mostFiles {
		p := list[0]
		list = list[1:]
		end := strings.IndexByte(p, '}') // of an innermost one
		for end >= 0 && strings.LastIndexByte(p[:end], '{') < 0 {
			next := strings.IndexByte(p[end+1:], '}')
			if end += 1 + next; next < 0 {
				end = -1
			}
		}
		if end < 0 {
			done = append(done, p)
			continue
		}
		begin := strings.LastIndexByte(p[:end], '{')
		for option := range strings.SplitSeq(p[begin+1:end], ",") {
			list = append(list, p[:begin]+option+p[end+1:])
		}
	}
	return slices.Compact(slices.Sorted(slices.Values(append(done, list...))))
}

// uncomment cuts a comment off a line. In double quotes there is none.
func uncomment(line string) string {
	quoted := false
	for n, c := range line {
		switch {
		case c == '"':
			quoted = !quoted
		case (c == '#' || c == '!') && !quoted && (n == 0 || line[n-1] != '\\'):
			return line[:n]
		}
	}
	return line
}
