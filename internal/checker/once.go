package checker

import (
	"context"
	"fmt"
	"os"
	"time"

	"keepalived-charm/internal/healthcheck"
)

// Once is the outcome of one check that is run apart from the checker.
type Once struct {
	Type   healthcheck.Type `json:"type"`
	Target string           `json:"target"`
	Passes bool             `json:"passes"`
	// Reason is why it failed, in one line.
	Reason string `json:"reason"`
	// Found is what a pass rests on where the check made no connection, in one line.
	Found string `json:"found,omitempty"`
	// DurationMS is how long it took, in milliseconds.
	DurationMS float64 `json:"duration_ms"`
}

// CheckOnce runs the check of the configuration file at path one time, as the
// checker does: as root it opens what takes root and then becomes the same
// unprivileged user for good. It decides nothing and touches no file.
func CheckOnce(ctx context.Context, path string) (Once, error) {
	config, err := readConfig(path)
	if err != nil {
		return Once{}, err
	}
	prober, err := newProber(config)
	if err != nil {
		return Once{}, err
	}
	if os.Geteuid() == 0 {
		if err := unprivilegedIdentity().become(); err != nil {
			return Once{}, err
		}
	}
	result := Once{Type: config.Check.Type, Target: config.Check.Target, Passes: true}
	if prober == nil {
		return result, nil
	}
	limited, cancel := context.WithTimeout(ctx, time.Duration(config.Check.Timeout))
	defer cancel()
	began := time.Now()
	result.Found, err = prober.probe(limited)
	result.DurationMS = float64(time.Since(began).Microseconds()) / 1000
	if err != nil {
		result.Passes, result.Reason = false, oneLine(err)
	}
	return result, nil
}

// readConfig reads the checker's configuration.
func readConfig(path string) (healthcheck.Config, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return healthcheck.Config{}, fmt.Errorf("cannot read checker configuration: %w", err)
	}
	config, err := healthcheck.Parse(data)
	if err != nil {
		return healthcheck.Config{}, fmt.Errorf("cannot use checker configuration %s: %w", path, err)
	}
	return config, nil
}
