package lab

import (
	"context"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// VIP is the virtual IP of demonstrations and scenarios, free in the lab's subnet.
var VIP = netip.MustParseAddr("10.10.74.250")

// Standard deploys haproxy on three machines with keepalived beside it.
func (l *Lab) Standard(ctx context.Context, config map[string]string) error {
	return l.StandardOf(ctx, 3, config)
}

// StandardOf is Standard with as many machines as one likes.
func (l *Lab) StandardOf(ctx context.Context, units int, config map[string]string) error {
	defer l.Toil(ctx)()
	if err := l.Deploy(ctx, "haproxy", "haproxy", units, nil); err != nil {
		return err
	}
	if err := l.Deploy(ctx, "keepalived", "keepalived", 0, config); err != nil {
		return err
	}
	if _, err := l.Model.Integrate("haproxy", "keepalived:juju-info"); err != nil {
		return err
	}
	return l.Settled(ctx)
}

// Configure sets options of keepalived and waits for the hooks.
func (l *Lab) Configure(ctx context.Context, options ...string) error {
	values, err := pairs(options)
	if err != nil {
		return err
	}
	if err := l.Model.SetConfig("keepalived", values); err != nil {
		return err
	}
	return l.Settled(ctx)
}

// Demo shows the charm from juju deploy to a VIP that survives a dead machine.
func (l *Lab) Demo(ctx context.Context) error {
	start := time.Now()
	l.say("$ juju deploy haproxy -n 3; juju deploy ./keepalived.charm; juju integrate haproxy keepalived:juju-info")
	if err := l.Standard(ctx, nil); err != nil {
		return err
	}
	l.say("%s", l.Status())
	l.say("$ juju config keepalived virtual_ip=%s vip_hostname=api.example.com", VIP)
	if err := l.Configure(ctx, "virtual_ip="+VIP.String(), "vip_hostname=api.example.com"); err != nil {
		return err
	}
	for _, c := range [][3]string{
		{"keepalived:website", "kubernetes-worker", "kube-api-endpoint"},
		{"keepalived:loadbalancer", "kubernetes-control-plane", "loadbalancer"},
	} {
		other := c[1] + ":" + c[2]
		l.say("$ juju integrate %s %s", c[0], other)
		if err := l.Consumer(c[1]); err != nil {
			return err
		}
		if _, err := l.Model.Integrate(c[0], other); err != nil {
			return err
		}
		if err := l.Settled(ctx); err != nil {
			return err
		}
		if err := l.showBags(c[0], other); err != nil {
			return err
		}
	}
	if err := l.demoFailover(ctx); err != nil {
		return err
	}
	l.say("the whole demonstration took %v", time.Since(start).Round(time.Second))
	return nil
}

// showBags prints what each unit publishes in a relation.
func (l *Lab) showBags(ours, theirs string) error {
	bags, err := l.Databags("keepalived", ours, theirs)
	if err != nil {
		return err
	}
	for _, unit := range slices.Sorted(maps.Keys(bags)) {
		var words []string
		for _, k := range slices.Sorted(maps.Keys(bags[unit])) {
			words = append(words, k+"="+bags[unit][k])
		}
		l.say("  %s: %s", unit, strings.Join(words, " "))
	}
	return nil
}

func (l *Lab) demoFailover(ctx context.Context) error {
	holder, err := l.WaitHolder(ctx, VIP)
	if err != nil {
		return err
	}
	name, err := l.Fetch(ctx, VIP)
	if err != nil {
		return err
	}
	l.say("$ curl http://%s:443/\n%s", VIP, name)
	l.say("machine %s loses power", holder)
	m, err := l.Measure(ctx, VIP, 3*time.Second, func(ctx context.Context) error { return l.Kill(ctx, holder) })
	if err != nil {
		return err
	}
	successor, err := l.WaitHolder(ctx, VIP)
	if err != nil {
		return err
	}
	l.say("machine %s took over: %v", successor, m)
	l.say("machine %s is switched on again", holder)
	m, err = l.Measure(ctx, VIP, 2*time.Second, func(ctx context.Context) error {
		if err := l.Heal(ctx, holder); err != nil {
			return err
		}
		return l.Settled(ctx)
	})
	if err != nil {
		return err
	}
	l.say("machine %s is back: %v", holder, m)
	if err := l.Model.TriggerUpdateStatus(); err != nil {
		return err
	}
	if err := l.Settled(ctx); err != nil {
		return err
	}
	l.say("$ juju status\n%s", l.Status())
	return nil
}
