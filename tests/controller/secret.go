package controller

import (
	"crypto/rand"
	"encoding/base32"
	"encoding/base64"
	"fmt"
	"maps"
	"regexp"
	"strconv"
	"strings"
)

// secret is a user secret: one that the operator keeps in the model for charms to
// read. Secrets of charms are not modelled.
type secret struct {
	revisions []map[string]string // values in base64; revision 1 is the first
	granted   map[string]bool     // by application
	consumers map[string]int      // unit to the revision that it reads
}

// secretKey is what Juju takes as a key in a secret's content.
var secretKey = regexp.MustCompile(`^[a-z](-?[a-z0-9]){2,}$`)

// AddSecret is juju add-secret: it keeps a secret that nobody may read yet and
// returns its URI, as in secret:9m4e2mr0ui3e8a215n4g.
func (c *Controller) AddSecret(content map[string]string) (string, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	encoded, err := encodeSecret(content)
	if err != nil {
		return "", fmt.Errorf("cannot add secret: %w", err)
	}
	id := make([]byte, 12)
	_, _ = rand.Read(id) // never fails, says its documentation
	name := strings.ToLower(base32.HexEncoding.WithPadding(base32.NoPadding).EncodeToString(id))
	c.secrets[name] = &secret{
		revisions: []map[string]string{encoded}, granted: map[string]bool{}, consumers: map[string]int{},
	}
	c.changedLocked()
	return secretURI(name), nil
}

// UpdateSecret is juju update-secret: a new revision, of which units that read the
// secret before are told by secret-changed.
func (c *Controller) UpdateSecret(uri string, content map[string]string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	s, err := c.secretLocked(uri)
	if err != nil {
		return fmt.Errorf("cannot update secret: %w", err)
	}
	encoded, err := encodeSecret(content)
	if err != nil {
		return fmt.Errorf("cannot update secret: %w", err)
	}
	s.revisions = append(s.revisions, encoded)
	c.changedLocked()
	return nil
}

// GrantSecret is juju grant-secret: the application's units may read it. Juju tells
// them nothing of it.
func (c *Controller) GrantSecret(uri, application string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	s, err := c.secretLocked(uri)
	if err != nil {
		return fmt.Errorf("cannot grant secret: %w", err)
	}
	if _, ok := c.apps[application]; !ok {
		return notFound("application", application)
	}
	s.granted[application] = true
	c.changedLocked()
	return nil
}

func encodeSecret(content map[string]string) (map[string]string, error) {
	if len(content) == 0 {
		return nil, fmt.Errorf("it has no content")
	}
	encoded := map[string]string{}
	for k, v := range content {
		if !secretKey.MatchString(k) {
			return nil, fmt.Errorf("key %q not valid", k)
		}
		encoded[k] = base64.StdEncoding.EncodeToString([]byte(v))
	}
	return encoded, nil
}

func secretURI(id string) string { return "secret:" + id }

// secretLocked finds a secret by its URI or its ID alone.
func (c *Controller) secretLocked(uri string) (*secret, error) {
	id := strings.TrimPrefix(uri, "secret:")
	s, ok := c.secrets[id[strings.LastIndexByte(id, '/')+1:]]
	if !ok {
		return nil, notFound("secret", id)
	}
	return s, nil
}

// readableLocked finds a secret that a unit may read.
func (r *call) readableLocked(uri string) (*secret, error) {
	s, err := r.c.secretLocked(uri)
	if err != nil {
		return nil, err
	}
	if !s.granted[r.unit.app] {
		return nil, errPermission
	}
	return s, nil
}

// getSecretContent serves secret-get. A unit goes on reading the revision that it
// read first until it asks for the latest.
func getSecretContent(r *call) (any, error) {
	var in struct {
		Args []struct {
			URI     string `json:"uri"`
			Refresh bool   `json:"refresh"`
			Peek    bool   `json:"peek"`
		} `json:"args"`
	}
	if err := r.decode(&in); err != nil {
		return nil, err
	}
	out := make([]any, len(in.Args))
	for i, a := range in.Args {
		s, err := r.readableLocked(a.URI)
		if err != nil {
			out[i] = failure(err)
			continue
		}
		latest, reads := len(s.revisions), s.consumers[r.unit.name]
		if a.Refresh || reads == 0 {
			s.consumers[r.unit.name], reads = latest, latest
			r.c.changedLocked()
		}
		if a.Peek {
			reads = latest
		}
		out[i] = map[string]any{"content": map[string]any{"data": maps.Clone(s.revisions[reads-1])}}
	}
	return results(out), nil
}

// consumedSecrets tells the latest revisions of secrets that a unit reads.
func consumedSecrets(r *call) (any, error) {
	var in struct {
		Consumer string   `json:"consumer-tag"`
		URIs     []string `json:"uris"`
	}
	if err := r.decode(&in); err != nil {
		return nil, err
	}
	if in.Consumer != unitTag(r.unit.name) {
		return nil, errPermission
	}
	out := make([]any, len(in.URIs))
	for i, uri := range in.URIs {
		s, err := r.readableLocked(uri)
		if err == nil && s.consumers[r.unit.name] == 0 {
			err = notFound("consumer of secret", uri)
		}
		if err != nil {
			out[i] = failure(err)
			continue
		}
		out[i] = map[string]any{"revision": len(s.revisions)}
	}
	return results(out), nil
}

// watchConsumedSecrets reports secrets that the unit reads and that have changed
// at all: Juju counts from the second revision on.
func watchConsumedSecrets(r *call) (any, error) {
	return r.eachOwn(func(u *unit) (any, error) {
		return r.strings(func() map[string]string {
			latest := map[string]string{}
			for id, s := range r.c.secrets {
				if n := len(s.revisions); n > 1 && s.consumers[u.name] > 0 {
					latest[secretURI(id)] = strconv.Itoa(n)
				}
			}
			return latest
		}), nil
	})
}
