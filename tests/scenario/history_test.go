package scenario_test

import (
	"testing"
	"time"
)

func TestHistorySketch(t *testing.T) {
	d := deploy(t, serving())
	holder := d.ready(t)
	show := func(what string) {
		t.Log("==== " + what)
		for _, unit := range d.units() {
			r := d.act(t, unit, "history", map[string]any{"limit": 6})
			t.Logf("%s\n%v\n", unit, r["history"])
		}
	}
	d.Model.TriggerUpdateStatus()
	d.settled(t)
	show("start")
	r := d.act(t, d.unitOn(t, holder), "failover", nil)
	t.Log(r)
	time.Sleep(1500 * time.Millisecond)
	show("failover")
	for _, unit := range d.units() {
		r := d.act(t, unit, "status", nil)
		t.Log(unit)
		for k, v := range r {
			t.Logf("   %s=%v", k, v)
		}
		t.Log(d.act(t, unit, "run-checks", nil))
	}
	holder = d.waitHolder(t)
	d.run(t, holder, "systemctl stop haproxy.service")
	old := holder
	holder, _ = d.otherHolder(t, holder)
	time.Sleep(1500 * time.Millisecond)
	show("service stopped on " + d.unitOn(t, old))
	t.Log(d.act(t, d.unitOn(t, old), "run-checks", nil)["summary"])
	d.run(t, old, "systemctl start haproxy.service")
	d.run(t, holder, "systemctl kill -s KILL keepalived.service")
	was := holder
	holder, _ = d.otherHolder(t, holder)
	time.Sleep(1500 * time.Millisecond)
	show("killed keepalived on " + d.unitOn(t, was))
	d.settled(t)
	m, _ := d.Machine(holder)
	m.LinkDown(d.ctx)
	was = holder
	holder, _ = d.otherHolder(t, holder)
	time.Sleep(1500 * time.Millisecond)
	m.LinkUp(d.ctx)
	time.Sleep(2000 * time.Millisecond)
	show("link down on " + d.unitOn(t, was))
	d.settled(t)
	d.configure(t, "router_id=77")
	d.settled(t)
	time.Sleep(1500 * time.Millisecond)
	show("router id")
	holder = d.waitHolder(t)
	d.Kill(d.ctx, holder)
	was = holder
	d.otherHolder(t, holder)
	time.Sleep(1500 * time.Millisecond)
	d.Heal(d.ctx, was)
	d.settled(t)
	time.Sleep(1500 * time.Millisecond)
	show("machine killed " + d.unitOn(t, was))
	for _, unit := range d.units() {
		t.Log(unit, d.act(t, unit, "status", nil))
		t.Log(d.run(t, d.machineOf(t, unit), "ls -l /var/lib/keepalived-charm/keepalived/history; systemctl show -p CPUUsageNSec keepalived-checker-keepalived; cat /proc/uptime; cat /run/keepalived-charm/keepalived/status.json"))
	}
}
