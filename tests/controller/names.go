package controller

import (
	"fmt"
	"strings"
)

// Tags are the names of entities on Juju's wire: the kind, a dash and the id with
// the characters that ids use themselves replaced.

func unitTag(name string) string { return "unit-" + strings.Replace(name, "/", "-", 1) }

func applicationTag(name string) string { return "application-" + name }

func machineTag(id string) string { return "machine-" + strings.ReplaceAll(id, "/", "-") }

func actionTag(id string) string { return "action-" + id }

func relationTag(key string) string {
	return "relation-" + strings.NewReplacer(":", ".", " ", "#").Replace(key)
}

// parseTag splits a tag into its kind and id.
func parseTag(tag string) (kind, id string, err error) {
	kind, id, ok := strings.Cut(tag, "-")
	if !ok || id == "" {
		return "", "", &apiError{Message: fmt.Sprintf("%q is not a valid tag", tag)}
	}
	switch kind {
	case "unit":
		if i := strings.LastIndexByte(id, '-'); i > 0 {
			id = id[:i] + "/" + id[i+1:]
		}
	case "machine":
		id = strings.ReplaceAll(id, "-", "/")
	case "relation":
		id = strings.NewReplacer(".", ":", "#", " ").Replace(id)
	}
	return kind, id, nil
}

// applicationOf returns the application part of a unit name.
func applicationOf(unit string) string {
	app, _, _ := strings.Cut(unit, "/")
	return app
}
