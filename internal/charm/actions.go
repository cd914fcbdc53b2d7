package charm

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"keepalived-charm/internal/decide"
	"keepalived-charm/internal/facts"
	"keepalived-charm/internal/juju"
	"keepalived-charm/internal/layout"
	"keepalived-charm/internal/show"
	"keepalived-charm/internal/status"
)

// request is one run of an action.
type request struct {
	// obs is what the unit goes by, configured what its options are: the same unless
	// these cannot be used.
	obs, configured facts.Observed
	j               Model
	m               Machine
	parameters      map[string]any
	// said is the status that the last pass found.
	said juju.Status
}

// layout is where the unit keeps its files.
func (r request) layout() layout.Layout {
	return layout.Layout{Application: r.obs.Event.Unit.Application}
}

// actions is the table of actions.yaml. An error fails the action with its text;
// nothing has changed then. docs/reference/actions.md lists the keys of the results.
func actions() map[string]func(request) (map[string]string, error) {
	return map[string]func(request) (map[string]string, error){
		"status":            showStatus,
		"history":           showHistory,
		"run-checks":        runChecks,
		"get-configuration": showConfiguration,
		"pause":             pause,
		"resume":            resume,
		"failover":          failover,
		"restart":           restart,
		"check-network":     checkNetwork,
	}
}

// parameters lists what an action takes. Juju refuses everything else by itself,
// unless --parse-schema=false or an old version keeps it from doing so.
func parameters() map[string][]string {
	return map[string][]string{"pause": {"force"}, "history": {"limit"}}
}

// Actions returns the names of all actions, sorted, each with its parameters.
func Actions() map[string][]string {
	all := map[string][]string{}
	for name := range actions() {
		all[name] = parameters()[name]
	}
	return all
}

// act carries out an action.
func act(ev juju.Event, j Model, m Machine) error {
	run, ok := actions()[ev.Name]
	if !ok {
		return fmt.Errorf("cannot run action %q: this charm has no such action", ev.Name)
	}
	r := request{j: j, m: m}
	var err error
	if r.parameters, err = j.ActionParameters(); err == nil {
		r.configured, err = observe(ev, j, m)
	}
	if err == nil {
		r.obs, err = usable(r.configured, j, m)
	}
	if err != nil {
		return errors.Join(err, j.FailAction(err.Error()))
	}
	for _, name := range slices.Sorted(maps.Keys(r.parameters)) {
		if !slices.Contains(parameters()[ev.Name], name) {
			return j.FailAction(fmt.Sprintf("cannot run %s: it takes no parameter %q", ev.Name, name))
		}
	}
	results, err := run(r)
	if err == nil && results["json"] == "" {
		err = attach(results, results)
	}
	if err != nil {
		return j.FailAction(err.Error())
	}
	return j.SetActionResults(results)
}

// attach adds results for programs under the key json.
func attach(results map[string]string, data any) error {
	text, err := json.Marshal(data)
	if err != nil {
		return fmt.Errorf("cannot show results as JSON: %w", err)
	}
	results["json"] = string(text)
	return nil
}

// flag returns a parameter that is true or false, and left out false.
func (r request) flag(name string) (bool, error) {
	value, given := r.parameters[name]
	if !given {
		return false, nil
	}
	on, ok := value.(bool)
	if !ok {
		return false, fmt.Errorf("parameter %s is %v, must be true or false", name, value)
	}
	return on, nil
}

// count returns a parameter that is a whole number within bounds.
func (r request) count(name string, otherwise, low, high int) (int, error) {
	value, given := r.parameters[name]
	if !given {
		return otherwise, nil
	}
	n, err := strconv.Atoi(fmt.Sprint(value))
	if _, text := value.(string); text || err != nil || n < low || n > high {
		return 0, fmt.Errorf("parameter %s is %v, must be a whole number from %d to %d", name, value, low, high)
	}
	return n, nil
}

// statusOf returns what the unit's status would be now.
func statusOf(obs facts.Observed) juju.Status {
	want, err := decide.Decide(obs)
	if s, blocked := status.Of(err); blocked {
		return s
	}
	if err != nil {
		return juju.Status{Level: juju.Waiting, Message: err.Error()}
	}
	return show.Shown(want, obs)
}

// withoutPasswords hides the rest of a line, wherever in it the word stands, and of the
// next one where a backslash joins the two.
func withoutPasswords(text string) string {
	const word = "auth_pass"
	var shown strings.Builder
	for {
		before, after, found := strings.Cut(text, word)
		shown.WriteString(before)
		if !found {
			return shown.String()
		}
		text = strings.TrimLeft(after, " \t\n\f\r\\")
		between := after[:len(after)-len(text)]
		shown.WriteString(word + between)
		if between != "" {
			end := strings.IndexByte(text+"\n", '\n')
			shown.WriteString("********")
			text = text[end:]
		}
	}
}

func showConfiguration(r request) (map[string]string, error) {
	files, l := r.obs.Machine.Files, r.layout()
	results := map[string]string{"summary": "this unit has no configuration yet: " + statusOf(r.obs).Message}
	shown, room := []struct{ key, path string }{{"keepalived-conf", layout.MainFile}, {"checker", l.CheckerConfig()}, {"fragment", l.Fragment()}}, mostText
	for n, s := range shown {
		if text, there := files[s.path]; there && !(s.path == layout.MainFile && facts.Foreign(text)) {
			var took int
			results[s.key], took = clip(withoutPasswords(text), s.path, room/(len(shown)-n))
			room -= took
		}
	}
	if _, there := files[l.Fragment()]; there {
		results["summary"] = strings.Join([]string{layout.MainFile, l.Fragment(), l.CheckerConfig()}, ", ")
	}
	return results, nil
}

// clip shows the whole lines of a file for which there is room, in bytes of JSON, and in a
// last one how much more there is; it tells what they took.
func clip(text, path string, room int) (shown string, took int) {
	const last = 200 // more than the last line takes
	// What is no text, and NUL, no argument can be.
	text = strings.ReplaceAll(strings.ToValidUTF8(text, "\uFFFD"), "\x00", "\uFFFD")
	length := 0
	for line := range strings.Lines(text) {
		quoted, _ := json.Marshal(line) // text can be marshalled
		if took += len(quoted) - len(`""`); took > room-last {
			return text[:length] + fmt.Sprintf("\n# %d more bytes, see %s\n", len(text)-length, path), room
		}
		length += len(line)
	}
	return text, took
}
