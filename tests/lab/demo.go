package lab

import (
	"context"
	"net/netip"
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
	if err := l.Integrate("haproxy", "keepalived:juju-info"); err != nil {
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
	if err := l.SetConfig("keepalived", values); err != nil {
		return err
	}
	return l.Settled(ctx)
}

// pairs are options as they are typed.
func pairs(args []string) (map[string]string, error) {
	values := map[string]string{}
	for _, a := range args {
		k, v, ok := strings.Cut(a, "=")
		if !ok {
			return nil, errUsage
		}
		values[k] = v
	}
	return values, nil
}

// types has an operator type commands, one after the other, and shows what Juju says.
func (l *Lab) types(ctx context.Context, lines ...string) error {
	for _, line := range lines {
		said, err := l.Juju.Type(ctx, line)
		if err != nil {
			return err
		}
		l.say("%s", strings.TrimSpace("$ juju "+line+"\n"+said))
	}
	return nil
}

// Demo shows the charm from juju deploy to a VIP that survives a dead machine: what the README
// says to type, and what Juju answers.
func (l *Lab) Demo(ctx context.Context) error {
	start := time.Now()
	if err := l.types(ctx,
		"deploy ./haproxy -n 3 --base "+principalBase,
		"deploy ./keepalived.charm",
		"integrate haproxy keepalived:juju-info",
		"config keepalived virtual_ip="+VIP.String()+" vip_hostname=api.example.com",
	); err != nil {
		return err
	}
	if err := l.Settled(ctx); err != nil {
		return err
	}
	// Beside haproxy: these run nothing, and need no machines of their own.
	if err := l.types(ctx,
		"status keepalived",
		"deploy ./kubernetes-worker --to 0 --base "+principalBase,
		"deploy ./kubernetes-control-plane --to 1 --base "+principalBase,
		"deploy ./kubeapi-load-balancer --to 2 --base "+principalBase,
		"integrate keepalived:website kubernetes-worker:kube-api-endpoint",
		"integrate keepalived:loadbalancer kubernetes-control-plane:loadbalancer",
		"integrate keepalived:lb-sink kubeapi-load-balancer:website",
	); err != nil {
		return err
	}
	if err := l.Settled(ctx); err != nil {
		return err
	}
	if err := l.types(ctx,
		"status --relations",
		"show-unit kubernetes-worker/0 --related-unit keepalived/0 --endpoint kube-api-endpoint",
		"run keepalived/0 status",
	); err != nil {
		return err
	}
	if err := l.demoFailover(ctx); err != nil {
		return err
	}
	if err := l.types(ctx,
		"add-unit haproxy",
		"remove-relation keepalived:website kubernetes-worker:kube-api-endpoint",
	); err != nil {
		return err
	}
	if err := l.Settled(ctx); err != nil {
		return err
	}
	if err := l.types(ctx, "status"); err != nil {
		return err
	}
	l.say("the whole demonstration took %v", time.Since(start).Round(time.Second))
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
	return nil
}
