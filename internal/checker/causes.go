package checker

import (
	"fmt"
	"time"

	"keepalived-charm/internal/history"
	"keepalived-charm/internal/metrics"
	"keepalived-charm/internal/vrrp"
)

// gained is why this unit got the instance, in a word and in words.
func (k *course) gained(now time.Time) (metrics.Cause, string) {
	from, ok := k.heard.recent()
	switch {
	case k.id == 0:
		return metrics.Unknown, history.Unknown
	case !ok:
		return metrics.Alone, "no other holder was heard"
	case !from.released.IsZero():
		return metrics.Released, from.address.String() + " handed over (priority 0)"
	case from.speaks(now):
		return metrics.Outranked, from.address.String() + " " + standing(from.priority)
	}
	return metrics.Silent, fmt.Sprintf("%s went silent, last heard %.2f s before", from.address, now.Sub(from.last).Seconds())
}

// standing is what a priority lets its sender lose by.
func standing(p vrrp.Priority) string {
	c, ok := vrrp.Read(p)
	switch {
	case ok && !c.Healthy:
		return fmt.Sprintf("lowered its priority to %d: it hands over, or its check fails", p)
	case ok && c.HeldBack:
		return fmt.Sprintf("had a lower priority, its service failed before (%d)", p)
	}
	return fmt.Sprintf("had a lower priority (%d)", p)
}

// lost is why this unit lost the instance, in a word and in words.
func (c *chronicle) lost(k *course, now time.Time) (metrics.Cause, string) {
	switch over, ok := k.heard.over(k.since, now); {
	case k.aside != "":
		return metrics.StandsAside, "stands aside: " + k.aside
	case !c.asked.IsZero() && now.Sub(c.asked) < related:
		return metrics.Asked, "an operator's failover"
	case c.sick != "":
		return metrics.CheckFailed, "own check failed: " + c.sick
	case len(c.down) > 0:
		return metrics.LinkDown, "interface " + c.down[0] + " is down"
	case ok:
		return metrics.Outranked, fmt.Sprintf("%s%s%d", over.address, history.TookOver, over.priority)
	}
	return metrics.Unknown, history.Unknown
}
