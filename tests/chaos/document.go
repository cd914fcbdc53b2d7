package chaos

import "fmt"

// page is the report as a page of its own: date, machine, chance, table.
const page = `# What faults cost

What happens to a deployment of three units with default options when something
breaks, and nobody helps. Written by %[1]s on %[2]s; a virtual machine with
%[3]s; each fault once%[4]s.

%[5]s
Seconds; where a fault happened more than once, the worst.

| column | meaning |
| --- | --- |
| gap | the longest time without a successful new connection, one tried every 10 ms, from the beginning of the fault on |
| two holders | the longest time in which the kernels of two machines had the virtual IP; in brackets the part after the cause had ended |
| one again | from the end of the cause until one machine held the address and answered, for good |
| statuses right | from the end of the cause until juju status was true and active for every unit |
| recovered by | what the machines' journals, systemd's counters and the model's events tell: peers that took over, systemd that started a service again, the health checker that had keepalived killed, the notification that had Juju run the charm, or a hook |
| status shown | what the unit on the machine concerned said meanwhile, other than before and after |

## How it is done

The machines are systemd-nspawn containers with Debian's haproxy and keepalived and
Juju's own agents, each with a network namespace of its own on one bridge. A fault
ends by itself or with its cause: the cable is plugged in again, the switch passes
packets again. Nothing else is done. Then all of this must come true within a bound,
or ` + "`make chaos`" + ` fails: one machine holds the virtual IP, clients reach that very
machine, keepalived and health checker run on every machine, every unit's status says
who holds. Bounds are generous multiples, in ` + "`tests/chaos/faults_*.go`" + `.

* **Stopped and frozen daemons.** The health checker watches keepalived's processor
  time and writes its track file when that stands still for longer than
  ` + "`advert_interval`" + `, at most once in two of them; a daemon that does not react for a second
  is killed, systemd starts another. Two holders meanwhile.
* **Deleted configuration.** A keepalived that starts without an instance never says
  that it has started; systemd ends it after 10 s. A hook that mends the files in that
  time waits for it and is run again: statuses right after some 20 s.
* **Hanging machine.** Its processes are frozen and its port is cut off without loss of
  carrier, as when a hypervisor stops it. Its kernel keeps the address, so the column
  counts two holders, but no packet of it is seen; what counts is the part after.
  "Its kernel answers" is the same with the port left alone: clients stay with the new
  holder, as its gratuitous ARP came last.
* **Partitions and one-way loss.** Each side has a holder as long as they do not hear
  each other; no VRRP daemon can avoid that. A holder that hears nobody, but is heard,
  is not noticed by anybody: the gap is as long as the fault.
* **Clock.** A container has no clock of its own, and setting this machine's would
  reach everything on it. keepalived alone gets another CLOCK_REALTIME, from
  libfaketime; the row fails unless it sees the jump. The health checker is written in Go, where
  libfaketime does not reach: that it compares only monotonic times is by its code
  (timerfd on CLOCK_MONOTONIC, time.Time with its monotonic reading), not shown here.
* **systemd-networkd** (252) that configures a running interface removes the virtual
  IPs, keepalived puts them back at once, and networkd may take this for something to
  remove again, for 20 s and more, and abort. KeepConfiguration=yes in the .network
  file spares that.
* **Full disk.** /etc/keepalived, /var/lib/keepalived-charm and /run are file systems
  without room, not the root file system. The hook fails and Juju runs it again.
* **Packet loss** is made by nftables at the switch; this kernel has no netem.
* **Shared processors.** All machines share this machine's; "busy" means four loops on
  each with a hundred times keepalived's weight.

` + "`make chaos`" + ` runs every fault once (` + "`ROWS=regexp`" + ` picks), ` + "`CHAOS_MINUTES=30`" + ` goes on at
random for that time, and ` + "`CHAOS_SEED`" + ` repeats what the seed it prints chose. A
selection is part of ` + "`make test`" + `.
`

// Document is the report as a page of its own.
func (r Report) Document() string {
	chance := ""
	if r.Random > 0 {
		chance = fmt.Sprintf(", then at random for %v (CHAOS_SEED=%d)", r.Random, r.Seed)
	}
	return fmt.Sprintf(page, "`make chaos`", r.Date, r.Machine, chance, r.Table())
}
