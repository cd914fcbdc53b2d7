package main

import (
	"time"

	"github.com/juju/utils/v3/exec"

	"github.com/juju/juju/worker/common/charmrunner"
	"github.com/juju/juju/worker/uniter/runner"
	"github.com/juju/juju/worker/uniter/runner/context"

	"keepalived-charm/tests/controller/wire"
)

// observing returns Juju's hook runner with every run reported.
func observing(r *wire.Reporter) runner.NewRunnerFunc {
	return func(ctx context.Context, paths context.Paths, remote runner.ExecFunc, opts ...runner.Option) runner.Runner {
		return &observed{Runner: runner.NewRunner(ctx, paths, remote, opts...), reporter: r}
	}
}

type observed struct {
	runner.Runner
	reporter *wire.Reporter
}

// RunHook runs a hook and reports its begin and end.
func (o *observed) RunHook(name string) (runner.HookHandlerType, error) {
	end := o.begin("hook", name)
	handler, err := o.Runner.RunHook(name)
	end(err)
	return handler, err
}

// RunAction runs an action and reports its begin and end.
func (o *observed) RunAction(name string) (runner.HookHandlerType, error) {
	end := o.begin("action", name)
	handler, err := o.Runner.RunAction(name)
	end(err)
	return handler, err
}

// RunCommands runs the commands of a juju-exec and reports their begin and end.
func (o *observed) RunCommands(commands string, at runner.RunLocation) (*exec.ExecResponse, error) {
	end := o.begin("commands", commands)
	resp, err := o.Runner.RunCommands(commands, at)
	end(err)
	return resp, err
}

// begin reports the begin of a run and returns the function that reports its end.
func (o *observed) begin(kind, name string) func(error) {
	rep := wire.Report{Time: time.Now(), Kind: kind + "-begin", Name: name}
	ctx := o.Context()
	// Outside relation hooks these return errors and the fields stay empty.
	if rel, err := ctx.HookRelation(); err == nil {
		rep.Relation = rel.FakeId()
	}
	if unit, err := ctx.RemoteUnitName(); err == nil {
		rep.RemoteUnit = unit
	}
	if app, err := ctx.RemoteApplicationName(); err == nil {
		rep.RemoteApp = app
	}
	o.reporter.Send(rep)
	return func(err error) {
		begun := rep.Time
		rep.Time, rep.Kind = time.Now(), kind+"-end"
		rep.Duration = rep.Time.Sub(begun)
		if charmrunner.IsMissingHookError(err) {
			rep.Missing = true
		} else if err != nil {
			rep.Detail = err.Error()
		}
		o.reporter.Send(rep)
	}
}
