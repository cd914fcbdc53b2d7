// Package wire is what unit agents and the stand-in controller say to each other:
// the JSON messages, and the agent's end of the connection. It needs nothing but
// the standard library, so that agents built from any version of Juju share it.
package wire

import (
	"encoding/json"
	"time"
)

// Request is one API call in Juju's terms, posted to /call.
type Request struct {
	Session string          `json:"session"`
	Facade  string          `json:"facade"`
	Version int             `json:"version"`
	ID      string          `json:"id"` // of a watcher, otherwise empty
	Method  string          `json:"method"`
	Args    json.RawMessage `json:"args"`
}

// Error is an error in Juju's wire form.
type Error struct {
	Message string `json:"message"`
	Code    string `json:"code"`
}

// Error returns the message.
func (e *Error) Error() string { return e.Message }

// Response is the answer to a Request.
type Response struct {
	Result json.RawMessage `json:"result,omitempty"`
	Error  *Error          `json:"error,omitempty"`
}

// Report is an agent's word on the begin or the end of a hook, an action or the
// commands of a juju-exec; it is the argument of Lab.Event.
type Report struct {
	Time       time.Time     `json:"time"`
	Kind       string        `json:"kind"` // hook-begin, hook-end, action-begin and so on
	Name       string        `json:"name"`
	Relation   string        `json:"relation"` // endpoint:id
	RemoteUnit string        `json:"remote-unit"`
	RemoteApp  string        `json:"remote-app"`
	Duration   time.Duration `json:"duration"` // nanoseconds, at the end
	Detail     string        `json:"detail"`   // the error, at the end
	Missing    bool          `json:"missing"`  // the charm does not have this hook
}
