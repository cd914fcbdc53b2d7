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
		all   bool
	}{
		"nobody, alone":                                          {nil, nil, false},
		"not who knows of it":                                    {[]group.Unit{unit(0, true, false, group.Known{0: 1, 2: 3})}, nil, false},
		"who does not":                                           {[]group.Unit{unit(0, true, false, group.Known{0: 1})}, []juju.Unit{name(0)}, false},
		"who knows of its life before":                           {[]group.Unit{unit(0, true, false, group.Known{0: 1, 2: 2})}, []juju.Unit{name(0)}, false},
		"who tells nothing of that":                              {[]group.Unit{unit(0, true, false, nil)}, []juju.Unit{name(0)}, false},
		"who may begin at the same time":                         {[]group.Unit{unit(0, false, false, group.Known{0: 0})}, []juju.Unit{name(0)}, false},
		"not who has told nothing":                               {[]group.Unit{unit(0, false, false, nil)}, nil, false},
		"not who is lost":                                        {[]group.Unit{unit(0, true, true, group.Known{0: 1, 1: 1})}, nil, false},
		"whom a peer knows and Juju not yet":                     {[]group.Unit{unit(0, true, false, group.Known{0: 1, 1: 1, 2: 3})}, []juju.Unit{name(1)}, false},
		"whom a peer knows and it read before":                   {[]group.Unit{unit(0, true, false, group.Known{0: 1, 1: 1, 2: 3}), unit(1, false, false, nil)}, []juju.Unit{name(1)}, false},
		"not a lost one that a peer knows":                       {[]group.Unit{unit(0, true, false, group.Known{0: 1, 1: 1, 2: 3}), unit(1, true, true, nil)}, nil, false},
		"not a number that is nobody's":                          {[]group.Unit{unit(0, true, false, group.Known{0: 1, 1: 1, 9: 1, 2: 3}), unit(1, true, false, group.Known{0: 1, 1: 1, 2: 3})}, nil, true},
		"whom all know that are listed, one of whom may be gone": {[]group.Unit{unit(0, true, false, group.Known{0: 1, 1: 1, 9: 1, 2: 3}), unit(1, true, false, group.Known{0: 1, 1: 1, 9: 1, 2: 3})}, []juju.Unit{name(9)}, true},
		"whom the only one knows, who may be gone":               {[]group.Unit{unit(0, true, false, group.Known{0: 1, 9: 1, 2: 3})}, []juju.Unit{name(9)}, true},
		"all the same who serves nothing, as it read":            {[]group.Unit{unit(0, true, false, group.Known{0: 1, 1: 1, 2: 3}), unit(1, false, false, nil)}, []juju.Unit{name(1)}, true},
	} {
		require.Equal(t, c.want, group.Unaware(name(2), group.Known{2: 3}, c.peers, c.all), claim)
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
