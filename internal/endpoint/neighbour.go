//go:build neighbour

package endpoint

import (
	"strconv"
	"strings"

	"keepalived-charm/internal/group"
	"keepalived-charm/internal/juju"
)

// added is what this revision says in each key besides.
const added = " colour=red"

var protocol = strconv.Itoa(group.Protocol + 1)

// spoken says a member's words as a revision with the next protocol might.
func spoken(bag juju.Databag) juju.Databag {
	said := juju.Databag{"colour": "red"}
	for key, value := range bag {
		switch {
		case key == "protocol":
			value = protocol
		case value != "":
			value += added
		}
		said[key] = value
	}
	return said
}

// understood reads them, and those of the revision before as they are.
func understood(bag juju.Databag) juju.Databag {
	if bag["protocol"] != protocol {
		return bag
	}
	read := juju.Databag{}
	for key, value := range bag {
		read[key] = strings.TrimSuffix(value, added)
	}
	read["protocol"] = strconv.Itoa(group.Protocol)
	return read
}
