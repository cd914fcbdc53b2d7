package decide

import (
	"fmt"
	"strings"

	"keepalived-charm/internal/config"
	"keepalived-charm/internal/facts"
	"keepalived-charm/internal/plain"
	"keepalived-charm/internal/status"
	"keepalived-charm/internal/vrrp"
)

// passwordKey is the key of the user secret that holds the password.
const passwordKey = "password"

// VRRP version 2 carries eight bytes (RFC 2338 section 5.3.6); the characters are
// those that keepalived.conf gives no meaning to.
func isPassword(s string) bool { return plain.Word(s, 8, "._+=/@-") }

// NeedsSecret names the secret that the decision depends on; empty for none.
func NeedsSecret(o facts.Observed) string {
	if o.Options.Fault != nil || before3(o.Event.Version) {
		return ""
	}
	return o.Options.Options.AuthSecret
}

// before3 tells Juju 2.9, which has no secrets.
func before3(version string) bool { return strings.HasPrefix(version, "2.") }

// claimPassword sets the password. What the unit has of a secret that is gone does, while
// the option says the same.
func (d *self) claimPassword(o facts.Observed) error {
	var why error
	d.secret, why = d.password(o)
	has := o.Machine.Applied.Routers[0].Password
	held := has != "" && o.Machine.Used().AuthSecret == d.Options.AuthSecret
	if why != nil && held {
		d.secret = has
	}
	return d.weigh(Claim{Held: held, Refusal: why})
}

// password returns the password of VRRP version 2; empty when none is wanted.
func (d self) password(o facts.Observed) (string, error) {
	uri := d.Options.AuthSecret
	if uri == "" {
		return "", nil
	}
	if before3(o.Event.Version) {
		return "", &config.Invalid{Option: "vrrp_auth_secret", Value: uri,
			Must: "empty on Juju " + o.Event.Version + ", which has no secrets; a password in plain options is not offered"}
	}
	if o.Secret[passwordKey] == "" && len(o.Secret) > 0 {
		return "", &status.Blocked{Message: fmt.Sprintf("option vrrp_auth_secret: %s has no key %s: juju update-secret %s %s=PASSWORD", uri, passwordKey, uri, passwordKey)}
	}
	if o.Secret[passwordKey] == "" {
		return "", &status.Blocked{Message: fmt.Sprintf("option vrrp_auth_secret: cannot read key %s of %s: juju grant-secret %s %s",
			passwordKey, uri, uri, d.Layout.Application)}
	}
	if !isPassword(o.Secret[passwordKey]) {
		return "", &status.Blocked{Message: "option vrrp_auth_secret: key " + passwordKey + " of " + uri +
			" must be 1-8 letters, digits or ._+=/@-"}
	}
	return o.Secret[passwordKey], nil
}

// runningPassword is the password of the parameters in use: the secret's, or, until all
// units are ready for a changed one, the one applied last. A router that begins meanwhile
// has that of the others.
func (d self) runningPassword(m facts.Machine, r Router) string {
	applied := m.Applied.Routers[r.Number].Password
	switch r.Run.Auth {
	case "":
		return ""
	case vrrp.Fingerprint(d.secret):
		return d.secret
	case vrrp.Fingerprint(applied):
		return applied
	}
	for _, other := range m.Applied.Routers {
		if vrrp.Fingerprint(other.Password) == r.Run.Auth {
			return other.Password
		}
	}
	return applied
}
