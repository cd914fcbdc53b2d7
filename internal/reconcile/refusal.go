package reconcile

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/juju/charm/v12/hooks"

	"keepalived-charm/internal/config"
	"keepalived-charm/internal/endpoint"
	"keepalived-charm/internal/juju"
)

// noted is the text of Layout.Options: the options that the unit goes by. Those that
// it has yet to change over to, with the others, may still turn out not to do.
func (d Desired) noted(o Observed) (string, error) {
	text, noted := o.Machine.Files[d.Layout.Options()]
	if noted && slices.ContainsFunc(d.parts(), func(p Desired) bool { return p.agreement.Moving }) {
		return text, nil
	}
	return o.used()
}

// usedBefore are the options that the unit used last, defaults when it used none.
func (o Observed) usedBefore() config.Options {
	var raw map[string]any
	d := json.NewDecoder(strings.NewReader(o.Machine.Files[o.layout().Options()]))
	d.UseNumber()
	if d.Decode(&raw) != nil {
		raw = nil // somebody wrote into it, or there are none
	}
	options, err := config.Parse(raw)
	if err != nil {
		return config.Options{}
	}
	return options
}

// used is the same of the options as they are now, a default where there is none.
func (o Observed) used() (string, error) {
	text, err := json.MarshalIndent(config.Effective(o.Options), "", "  ")
	if err != nil {
		return "", fmt.Errorf("cannot note the options in use: %w", err)
	}
	return string(text) + "\n", nil
}

// Before returns what was observed with the options that the unit used last, in the
// place of those that were refused; false when it used none, or these were refused.
func (o Observed) Before(refusal error) (Observed, bool) {
	text, noted := o.Machine.Files[o.layout().Options()]
	if now, err := o.used(); !noted || o.Refusal != nil || err != nil || now == text {
		return o, false
	}
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	o.Options = nil
	if err := d.Decode(&o.Options); err != nil {
		return o, false // somebody wrote into it
	}
	// The look was for what was refused.
	o.Refusal, o.Look = refusal, nil
	return o, true
}

// Shown is what juju status shows of a unit that does something, by whatever options.
func (o Observed) Shown(does juju.Status) juju.Status {
	refusal, refused := StatusOf(o.Refusal)
	if !refused {
		return does
	}
	refusal.Message += say(meanwhile, "STATUS", does.Message).Message
	return refusal
}

// Overwrites tells that Juju, at the end of this hook, puts the unit's own address in
// the place of the virtual IP on website: it does so in config-changed, and takes a
// value that is published again for no change (Juju source,
// apiserver/facades/agent/uniter, updateUnitNetworkInfoOperation).
func Overwrites(o Observed) bool {
	if o.Event.Hook != hooks.ConfigChanged || !o.Machine.NotifierActive {
		return false
	}
	for _, r := range o.Relations {
		if r.Endpoint == endpoint.Website && r.Own["port"] != "" && r.Own["private-address"] != r.Own["ingress-address"] {
			return true
		}
	}
	return false
}
