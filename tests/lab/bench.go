package lab

import "context"

// Bench measures.
func (l *Lab) Bench(ctx context.Context, runs int, dir string) error { return nil }
