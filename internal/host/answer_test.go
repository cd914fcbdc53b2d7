package host

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

func TestAFloodOfQuestionsIsAnsweredInPart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p pace
		begun := time.Now()
		for range mostAnswers {
			p.keep()
		}
		require.Equal(t, begun, time.Now())
		p.keep()
		require.Equal(t, begun.Add(time.Second), time.Now(), "one more waits for the next second")
	})
}
