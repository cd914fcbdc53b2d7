package chaos

const (
	keepalived = "keepalived.service"
	checker    = "keepalived-checker-keepalived.service"
	fragment   = "/etc/keepalived/charm.d/keepalived.conf"
)

// killAll ends every process of the daemon in a way that nobody can catch.
const killAll = "systemctl kill --kill-whom=all --signal=KILL " + keepalived

// processFaults are about the daemon and the health checker.
func processFaults() []Fault {
	daemon := bounds(2, 1.5, 3)
	stopped := bounds(2, 4, 6)
	unnoticed := bounds(0.2, 0, 0)
	return []Fault{
		{Name: "keepalived: its VRRP process is killed", Bounds: daemon,
			Inject: script("kill -KILL $(pgrep -P $(systemctl show --value --property=MainPID keepalived))")},
		{Name: "keepalived: its main process is killed", Bounds: daemon,
			Inject: script("kill -KILL $(systemctl show --value --property=MainPID keepalived)")},
		{Name: "keepalived: all its processes are killed", Bounds: daemon, Telling: true, Inject: script(killAll)},
		{Name: "keepalived: all its processes are killed, ten times in 5 s", Bounds: bounds(4, 1.5, 4),
			Inject: script("for n in 1 2 3 4 5 6 7 8 9 10; do " + killAll + "; sleep 0.5; done")},
		{Name: "keepalived of a standby is killed", Standby: true, Bounds: unnoticed, Inject: script(killAll)},
		{Name: "keepalived is stopped (SIGSTOP) for good", Bounds: stopped, Telling: true,
			Inject: script("systemctl kill --signal=STOP " + keepalived)},
		{Name: "keepalived is frozen (systemctl freeze) for good", Bounds: stopped, Inject: script("systemctl freeze " + keepalived)},
		{Name: "keepalived is stopped (SIGSTOP) for 1.5 s", Bounds: bounds(3, 3, 3), Lasts: seconds(1.5),
			Inject:  script("systemctl kill --signal=STOP " + keepalived),
			Recover: script("systemctl kill --signal=CONT " + keepalived)},
		{Name: "keepalived of a standby is stopped (SIGSTOP) for good", Standby: true, Bounds: unnoticed,
			Inject: script("systemctl kill --signal=STOP " + keepalived)},
		{Name: "health checker is killed", Bounds: unnoticed, Inject: script("systemctl kill --signal=KILL " + checker)},
		{Name: "health checker is stopped (SIGSTOP)", Bounds: unnoticed, Inject: script("systemctl kill --signal=STOP " + checker)},
		{Name: "keepalived and health checker are killed together", Bounds: daemon,
			Inject: script("systemctl kill --signal=KILL " + checker + " & " + killAll + "; wait")},
	}
}
