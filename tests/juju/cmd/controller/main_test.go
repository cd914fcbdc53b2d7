package main

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestItAnswersEachLineUntilItsInputEnds(t *testing.T) {
	var out bytes.Buffer
	require.NoError(t, run([]string{"-directory", t.TempDir(), "-model", "m"}, strings.NewReader(`
{"id":1,"machine":{"version":"22.04","address":"10.0.0.1"}}
{"id":2,"login":"machine-none"}
{"id":3,"login":"unit-keepalived-0"}
{"id":4}
{"id":5,"calls":true}
{"id":6,"away":true}
`[1:]), &out))
	replies := map[int]reply{}
	for decoder := json.NewDecoder(&out); decoder.More(); {
		var r reply
		require.NoError(t, decoder.Decode(&r))
		replies[r.ID] = r
	}
	require.Len(t, replies, 7)
	assert.NotEmpty(t, replies[0].Address)
	assert.NotEmpty(t, replies[0].ClientStore)
	assert.Equal(t, reply{ID: 1, Machine: "0"}, replies[1])
	assert.Equal(t, `"machine-none" is not a valid machine tag`, replies[2].Error)
	assert.Equal(t, `cannot set a password: unit "keepalived/0" not found`, replies[3].Error)
	assert.Equal(t, "cannot do what is not asked: the line has none of the requests", replies[4].Error)
	assert.Equal(t, reply{ID: 5}, replies[5])
	assert.Equal(t, "cannot cut the controller off: it has no socket", replies[6].Error)
}

func TestItSaysWhyItCannotStart(t *testing.T) {
	assert.Error(t, run([]string{"-address", "nowhere"}, strings.NewReader(""), &bytes.Buffer{}))
	assert.Error(t, run([]string{"-log", "loud"}, strings.NewReader(""), &bytes.Buffer{}))
}
