package host

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestAFloodOfQuestionsIsAnsweredInPart(t *testing.T) {
	var p pace
	for range mostAnswers {
		p.keep()
	}
	enough := p.second.Add(time.Second)
	p.keep()
	require.False(t, time.Now().Before(enough), "one more waits for the next second")
}
