package hacluster

import (
	"encoding/json"
	"errors"
	"io"
	"strings"

	"keepalived-charm/internal/juju"
)

// mostBytes bounds a value: a request for 500 virtual IPs takes a fifth of it.
const mostBytes = 512 << 10

// content is what the keys of a request hold.
type content struct {
	resources, params, groups, clones  map[string]string
	ms, orders, locations, colocations map[string]string
	deleted                            []string
}

// keys are the names of the keys, without what stands before them.
func keys() []string {
	return []string{"resources", "resource_params", "groups", "clones", "ms", "orders", "locations", "colocations", "delete_resources", "init_services", "systemd_services"}
}

// readKeys reads every key. charm-helpers leaves empty ones out. What nothing comes of is
// read all the same: what is spoilt in one place may be so in others.
func readKeys(bag juju.Databag) (content, error) {
	var k content
	var services []string
	for n, into := range []any{&k.resources, &k.params, &k.groups, &k.clones, &k.ms, &k.orders, &k.locations, &k.colocations, &k.deleted, nil, &services} {
		key := "json_" + keys()[n]
		text, there := bag[key]
		if !there {
			continue
		}
		if len(text) > mostBytes {
			return content{}, refuse("%s has %d bytes, at most %d are read", key, len(text), mostBytes)
		}
		var err error
		if into != nil {
			err = decode(text, into)
		} else if err = decode(text, &services); err != nil {
			err = decode(text, &map[string]string{}) // charm-helpers says which resource it is
		}
		if err != nil {
			kind := "object"
			if n >= 8 {
				kind = "list"
			}
			return content{}, refuse("%s is no JSON %s of texts", key, kind)
		}
	}
	return k, nil
}

// decode reads one JSON value.
func decode(text string, into any) error {
	if strings.TrimSpace(text) == "null" {
		return errors.New("null is neither an object nor a list")
	}
	d := json.NewDecoder(strings.NewReader(text))
	if err := d.Decode(into); err != nil {
		return err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("there is more than one JSON value")
	}
	return nil
}
