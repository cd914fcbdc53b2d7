package main

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestItAnswersLineByLineUntilItsInputEnds(t *testing.T) {
	var out bytes.Buffer
	require.NoError(t, run([]string{"-directory", t.TempDir(), "-model", "m"}, strings.NewReader(`
{"machine":{"version":"22.04","address":"10.0.0.1"}}
{"login":"machine-0"}
{"login":"unit-keepalived-0"}
{}
`[1:]), &out))
	var replies []reply
	for decoder := json.NewDecoder(&out); decoder.More(); {
		var r reply
		require.NoError(t, decoder.Decode(&r))
		replies = append(replies, r)
	}
	require.Len(t, replies, 5)
	assert.NotEmpty(t, replies[0].Address)
	assert.NotEmpty(t, replies[0].ClientStore)
	assert.Equal(t, "0", replies[1].Machine)
	require.NotNil(t, replies[2].Login)
	assert.Equal(t, []string{replies[0].Address}, replies[2].Login.Addresses)
	assert.NotEmpty(t, replies[2].Login.Password)
	assert.Equal(t, `cannot set a password: unit "keepalived/0" not found`, replies[3].Error)
	assert.Equal(t, "cannot do {}: neither a machine nor a login", replies[4].Error)
}

func TestItSaysWhyItCannotStart(t *testing.T) {
	assert.Error(t, run([]string{"-address", "nowhere"}, strings.NewReader(""), &bytes.Buffer{}))
	assert.Error(t, run([]string{"-log", "loud"}, strings.NewReader(""), &bytes.Buffer{}))
}
