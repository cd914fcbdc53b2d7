package lab

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestPrometheusIsUnderstood(t *testing.T) {
	at := time.UnixMilli(1700000000250)
	s, err := parse([]byte(`{"status":"success","data":{"resultType":"vector","result":[{"metric":{"a":"b"},"value":[1700000000.25,"1"]}]}}`))
	require.NoError(t, err)
	require.Equal(t, []Series{{map[string]string{"a": "b"}, []Sample{{at, 1}}}}, s)
	s, err = parse([]byte(`{"status":"success","data":{"resultType":"matrix","result":[{"metric":{},"values":[[1700000000.25,"2"],[1700000001.25,"NaN"]]}]}}`))
	require.NoError(t, err)
	require.Equal(t, Sample{at, 2}, s[0].Samples[0])
	require.True(t, math.IsNaN(s[0].Samples[1].Value))
	_, err = parse([]byte(`{"status":"error","errorType":"bad_data","error":"no such thing"}`))
	require.EqualError(t, err, "no such thing")
	_, err = parse([]byte(`{"data":{"result":[{"metric":{},"value":["1","1"]}]}}`))
	require.ErrorContains(t, err, "is no sample")
}
