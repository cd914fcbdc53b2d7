package charm

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"keepalived-charm/internal/show"
)

// runChecks runs the check now, and shows what the health checker last said.
func runChecks(r request) (map[string]string, error) {
	l := r.layout()
	if _, serves := r.obs.Machine.Files[l.CheckerConfig()]; !serves {
		return nil, fmt.Errorf("cannot run the check: this unit serves nothing yet (%s)", statusOf(r.obs).Message)
	}
	once, err := r.m.Check(l)
	if err != nil {
		return nil, err
	}
	c := r.obs.Machine.Check
	exit, result, reason := 0, "passes", "none"
	if !once.Passes {
		exit, result, reason = 1, "fails", once.Reason
	}
	results := map[string]string{
		"type": string(once.Type), "target": cmp.Or(once.Target, "none"), "result": result, "exit": fmt.Sprint(exit),
		"reason": reason, "duration-ms": fmt.Sprintf("%.1f", once.DurationMS),
		"verdict": show.Verdict(c), "verdict-since": stamp(c.Since), "in-a-row": fmt.Sprint(c.InARow), "held-back-until": stamp(c.HeldBack),
	}
	name := strings.TrimSpace(string(once.Type) + " " + once.Target)
	results["summary"] = fmt.Sprintf("%s passes now, in %.1f ms", name, once.DurationMS)
	if !once.Passes {
		results["summary"] = fmt.Sprintf("%s fails now, after %.1f ms: %s", name, once.DurationMS, once.Reason)
	} else if once.Found != "" {
		results["summary"] += ": " + once.Found
	}
	results["summary"] += "; the health checker says: " + show.Verdict(c)
	data := map[string]any{"checks": []any{map[string]any{"type": once.Type, "target": once.Target, "passes": once.Passes, "exit": exit,
		"reason": once.Reason, "duration-ms": once.DurationMS, "verdict": show.Verdict(c), "verdict-since": results["verdict-since"],
		"in-a-row": c.InARow, "held-back-until": results["held-back-until"]}}}
	return results, attach(results, data)
}

// stamp is a time for people and programs.
func stamp(t time.Time) string {
	if t.IsZero() {
		return "none"
	}
	return t.UTC().Format(time.RFC3339)
}
