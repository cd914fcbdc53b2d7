package charm

import (
	"strings"
	"time"

	"keepalived-charm/internal/decide"
	"keepalived-charm/internal/show"
)

// election is what this unit knows of its elections.
func (r request) election() show.Election {
	return show.NewElection(r.obs, statusOf(r.obs).Message, time.Now())
}

// showStatus shows it, and asks whether the peers' machines answer now.
func showStatus(r request) (map[string]string, error) {
	e := r.election()
	asked := decide.Near(r.obs)
	silent, err := r.m.Unreachable(asked, decide.MACs(r.obs))
	if err != nil {
		return nil, err
	}
	e.Answer(asked, silent)
	results := e.Results()
	return results, attach(results, e)
}

// holders names who has the virtual IPs now.
func (r request) holders() string { return strings.Join(r.election().Holders(), " ") }
