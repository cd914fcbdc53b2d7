package group_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"keepalived-charm/internal/group"
	"keepalived-charm/internal/juju"
)

// TestWhoDoesNotKnowOfAUnit: a unit that begins waits for those that do not know of it.
func TestWhoDoesNotKnowOfAUnit(t *testing.T) {
	unit := func(n int, serves, lost bool, knows group.Known) group.Unit {
		return group.Unit{Unit: name(n), Serves: serves, Lost: lost, Knows: knows}
	}
	for claim, c := range map[string]struct {
		peers []group.Unit
		want  []juju.Unit
	}{
		"nobody, alone":                        {nil, nil},
		"not who knows of it":                  {[]group.Unit{unit(0, true, false, group.Known{0: 1, 2: 3})}, nil},
		"who does not":                         {[]group.Unit{unit(0, true, false, group.Known{0: 1})}, []juju.Unit{name(0)}},
		"who knows of its life before":         {[]group.Unit{unit(0, true, false, group.Known{0: 1, 2: 2})}, []juju.Unit{name(0)}},
		"who tells nothing of that":            {[]group.Unit{unit(0, true, false, nil)}, []juju.Unit{name(0)}},
		"who may begin at the same time":       {[]group.Unit{unit(0, false, false, group.Known{0: 0})}, []juju.Unit{name(0)}},
		"not who has told nothing":             {[]group.Unit{unit(0, false, false, nil)}, nil},
		"not who is lost":                      {[]group.Unit{unit(0, true, true, group.Known{0: 1, 1: 1})}, nil},
		"whom a peer knows and Juju not yet":   {[]group.Unit{unit(0, true, false, group.Known{0: 1, 1: 1, 2: 3})}, []juju.Unit{name(1)}},
		"whom a peer knows and it read before": {[]group.Unit{unit(0, true, false, group.Known{0: 1, 1: 1, 2: 3}), unit(1, false, false, nil)}, []juju.Unit{name(1)}},
		"not a lost one that a peer knows":     {[]group.Unit{unit(0, true, false, group.Known{0: 1, 1: 1, 2: 3}), unit(1, true, true, nil)}, nil},
	} {
		require.Equal(t, c.want, group.Unaware(name(2), group.Known{2: 3}, c.peers), claim)
	}
}

// TestWhomAUnitKnows: those that serve, each with how often it has begun to.
func TestWhomAUnitKnows(t *testing.T) {
	peers := []group.Unit{{Unit: name(0), Serves: true, Knows: group.Known{0: 4}}, {Unit: name(1), Knows: group.Known{1: 2}}, {Unit: name(3), Serves: true, Lost: true}}
	for claim, c := range map[string]struct {
		told   group.Unit
		serves bool
		want   group.Known
	}{
		"one that serves nothing":                        {group.Unit{Unit: name(2)}, false, group.Known{0: 4, 2: 0, 3: 0}},
		"one that begins":                                {group.Unit{Unit: name(2)}, true, group.Known{0: 4, 2: 1, 3: 0}},
		"one that goes on":                               {group.Unit{Unit: name(2), Serves: true, Knows: group.Known{2: 1}}, true, group.Known{0: 4, 2: 1, 3: 0}},
		"one that ends":                                  {group.Unit{Unit: name(2), Serves: true, Knows: group.Known{2: 1}}, false, group.Known{0: 4, 2: 1, 3: 0}},
		"one that begins again":                          {group.Unit{Unit: name(2), Knows: group.Known{2: 1}}, true, group.Known{0: 4, 2: 2, 3: 0}},
		"one that comes from a revision without the key": {group.Unit{Unit: name(2), Serves: true}, true, group.Known{0: 4, 2: 1, 3: 0}},
	} {
		require.Equal(t, c.want, c.told.Know(c.serves, peers), claim)
	}
}
