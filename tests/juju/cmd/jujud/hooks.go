package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/juju/loggo"
	"github.com/juju/names/v5"

	coreagent "github.com/juju/juju/agent"
	"github.com/juju/juju/cmd/jujud/agent/agentconf"
)

// setupLogging is Juju's, and has noted in a file which hooks a machine's units ran and what
// they said, with times that Juju's own logs have to the second only:
//
//	2026-11-29T13:53:29.100456Z keepalived/0 says changing this machine: ...
//	2026-11-29T13:53:29.123456Z keepalived/0 config-changed
func setupLogging(context *loggo.Context, config coreagent.Config) {
	agentconf.SetupAgentLogging(context, config)
	tag, ok := config.Tag().(names.UnitTag)
	if !ok {
		return
	}
	w := &hookWriter{file: filepath.Join(config.LogDir(), "hooks.log"), unit: tag.Id()}
	if err := context.AddWriter("hooks", w); err != nil {
		loggo.GetLogger("juju.lab").Errorf("cannot note the hooks of %s: %v", tag.Id(), err)
	}
}

// hookWriter notes each hook that a unit has run, and the first line of what it logs.
type hookWriter struct{ file, unit string }

// ran is what Juju logs of a hook that it ran, also of one that failed
// (github.com/juju/juju/worker/uniter/operation/runhook.go).
var ran = regexp.MustCompile(`^(?:ran "([a-z-]+)" hook |hook "([a-z-]+)" (?:.*failed: |was terminated$))`)

// Write is part of loggo.Writer.
func (w *hookWriter) Write(entry loggo.Entry) {
	var note string
	switch entry.Module {
	case "unit." + w.unit + ".juju-log":
		note, _, _ = strings.Cut("says "+entry.Message, "\n")
	case "juju.worker.uniter.operation":
		hook := ran.FindStringSubmatch(entry.Message)
		if hook == nil {
			return
		}
		note = hook[1] + hook[2]
	default:
		return
	}
	f, err := os.OpenFile(w.file, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o644)
	if err != nil {
		return // as with Juju's logs: a full disk ends no agent
	}
	defer f.Close()
	fmt.Fprintln(f, entry.Timestamp.UTC().Format(time.RFC3339Nano), w.unit, note)
}
