package chaos

import (
	"context"
	"fmt"
	"time"

	"keepalived-charm/tests/lab"
	"keepalived-charm/tests/patience"
)

// fileFaults are about what lies on the machine.
func fileFaults() []Fault {
	daemon := bounds(2, 1.5, 8)
	return []Fault{
		{Name: "keepalived's program is gone when it is killed, and put back after 4 s", Bounds: bounds(2, 1.5, 4), Lasts: seconds(4), Telling: true,
			Inject:  script("mv /usr/sbin/keepalived /usr/sbin/keepalived.away; " + killAll),
			Recover: script("[ -e /usr/sbin/keepalived ] || mv /usr/sbin/keepalived.away /usr/sbin/keepalived")},
		{Name: "keepalived's program is gone when it is killed, nobody puts it back", Bounds: bounds(2, 1.5, 30),
			Inject:  script("mv /usr/sbin/keepalived /usr/sbin/keepalived.away; " + killAll),
			Restore: script("rm -f /usr/sbin/keepalived.away")},
		{Name: "keepalived.conf is deleted, keepalived killed", Bounds: daemon, Telling: true, Inject: script("rm /etc/keepalived/keepalived.conf; " + killAll)},
		{Name: "keepalived.conf is deleted, keepalived reloaded", Bounds: daemon, Inject: script("rm /etc/keepalived/keepalived.conf; systemctl reload keepalived")},
		{Name: "the charm's fragment is deleted, keepalived reloaded", Bounds: daemon, Inject: script("rm " + fragment + "; systemctl reload keepalived")},
		{Name: "the charm's fragment is deleted, keepalived killed", Bounds: bounds(2, 1.5, 40), Inject: script("rm " + fragment + "; " + killAll)},
		{Name: "keepalived.conf is filled with nonsense, keepalived reloaded", Bounds: daemon,
			Inject: script("echo 'vrrp_instance x {' >/etc/keepalived/keepalived.conf; systemctl reload keepalived || true")},
		{Name: "track file is deleted", Bounds: bounds(1, 0.5, 3), Inject: script("rm /run/keepalived-charm/keepalived/priority")},
		{Name: "full disk while an option changes and keepalived is killed", Bounds: bounds(2, 1.5, 8), Lasts: seconds(6), Telling: true,
			Prepare: script(fill), Inject: all(setInterval, script("sleep 1; "+killAll), hookFails), Recover: script(empty), Restore: all(script(unfill), resetInterval)},
		{Name: "read-only /etc while an option changes and keepalived is killed", Bounds: bounds(2, 1.5, 8), Lasts: seconds(6),
			Prepare: script("mount --bind /etc /etc; mount -o remount,ro,bind /etc"), Inject: all(addVIP, script("sleep 1; "+killAll), hookFails),
			Recover: script("umount --lazy /etc"), Restore: resetVIP},
	}
}

// full are the directories that the charm and keepalived write to.
const full = "/var/lib/keepalived-charm /etc/keepalived"

// fill puts copies of them on small file systems without a byte to spare, and fills
// /run and /tmp as well, which systemd-nspawn has made file systems of their own.
const fill = `
for dir in ` + full + `; do
	[ -d $dir ] || continue
	size=$(du --summarize -k $dir | cut -f 1)
	rm -rf /var/tmp/copy
	cp -a $dir /var/tmp/copy
	mount -t tmpfs -o mode=755,size=$((size + 1024))k tmpfs $dir
	cp -a /var/tmp/copy/. $dir/
	rm -rf /var/tmp/copy
	dd if=/dev/zero of=$dir/.full bs=4k 2>/dev/null || true
done
for dir in /run /tmp; do
	mount -o remount,size=$(($(df --output=used -k $dir | tail -1) + 64))k $dir
	dd if=/dev/zero of=$dir/full bs=1k 2>/dev/null || true
done`

// empty makes room again.
const empty = `
for dir in ` + full + ` /run /tmp; do rm -f $dir/.full $dir/full; done
mount -o remount,size=50% /run
mount -o remount,size=10% /tmp`

// unfill puts the directories back on the machine's disk as they are now.
const unfill = `
for dir in ` + full + `; do
	mountpoint --quiet $dir || continue
	mount --bind / /mnt
	cp -a --remove-destination $dir/. /mnt$dir/ # programs may run
	umount /mnt
	umount --lazy $dir
done`

func setInterval(_ context.Context, s *Stage) error {
	return s.SetConfig("keepalived", map[string]string{"healthcheck_fall": "4"})
}

func resetInterval(ctx context.Context, s *Stage) error {
	if err := s.ResetConfig("keepalived", "healthcheck_fall"); err != nil {
		return err
	}
	return s.Settled(ctx)
}

// addVIP changes an option that is written to /etc, in keepalived's configuration.
func addVIP(_ context.Context, s *Stage) error {
	s.served = lab.VIP.String() + ", " + lab.VIP.Next().String()
	return s.SetConfig("keepalived", map[string]string{"virtual_ip": s.served})
}

func resetVIP(ctx context.Context, s *Stage) error {
	s.served = lab.VIP.String()
	if err := s.SetConfig("keepalived", map[string]string{"virtual_ip": s.served}); err != nil {
		return err
	}
	return s.Settled(ctx)
}

// hookFails waits until a hook on the target has failed: where none does, the fault
// hits nobody and its row tells nothing.
func hookFails(ctx context.Context, s *Stage) error {
	for end := time.Now().Add(patience.With(20 * time.Second)); time.Now().Before(end) && ctx.Err() == nil; pause(ctx, 20*time.Millisecond) {
		for _, u := range s.subordinates() {
			if u.Machine == s.Target && failing(u) != "" {
				return nil
			}
		}
	}
	return fmt.Errorf("cannot have a hook fail on machine %s: all passed", s.Target)
}
