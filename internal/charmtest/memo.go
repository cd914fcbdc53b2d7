package charmtest

import (
	"sync"

	"keepalived-charm/internal/healthcheck"
)

// remembered is a function of a text alone that reads each text once: of hooks in memory
// most change no file, and an election reads all of them. Nobody may change what it returns.
func remembered[T any](read func(text string) T) func(text string) T {
	var known sync.Map
	return func(text string) T {
		if value, ok := known.Load(text); ok {
			return value.(T)
		}
		value := read(text)
		known.Store(text, value)
		return value
	}
}

var (
	instances = remembered(readInstances)
	// checkerConfig is empty for a text that is none: there is nothing to go by.
	checkerConfig = remembered(func(text string) healthcheck.Config {
		c, _ := healthcheck.Parse([]byte(text))
		return c
	})
)
