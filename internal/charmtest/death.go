package charmtest

import "errors"

// When tells at which side of a call a hook dies.
type When int

// The moments of a death.
const (
	// Before dies with nothing done.
	Before When = iota
	// Amid dies half way: some of a step's files are written, a follow-up is done
	// but not forgotten. A call of a hook tool knows no half way.
	Amid
	// After dies with all done.
	After
)

// Death ends a hook at one call. The zero Death never comes.
type Death struct {
	// Call is the hook tool call at which the hook dies, counted from 1.
	Call int
	// Step is the step of the plan at which the hook dies, counted from 1.
	Step int
	When When
}

// errDied is how the fakes make the code that runs in a dead hook stop: nothing
// that it still calls has an effect.
var errDied = errors.New("the hook was killed")

// life counts the calls of one hook and ends it.
type life struct {
	death        Death
	dead         bool
	calls, steps int
	// between, when set, may kill the hook between two steps.
	between func() bool
}

func (l *life) goesOn() bool {
	if !l.dead && l.between != nil && !l.between() {
		l.dead = true
	}
	return !l.dead
}

// do runs one call's work unless the hook is dead or dies before it.
func (l *life) do(dies bool, work func(amid bool) error) error {
	if l.dead || dies && l.death.When == Before {
		l.dead = true
		return errDied
	}
	err := work(dies && l.death.When == Amid)
	if dies {
		l.dead = true
		return errDied
	}
	return err
}

func (l *life) call(work func() error) error {
	l.calls++
	return l.do(l.calls == l.death.Call, func(bool) error { return work() })
}

func (l *life) step(work func(amid bool) error) error {
	l.steps++
	l.goesOn()
	return l.do(l.steps == l.death.Step, work)
}
