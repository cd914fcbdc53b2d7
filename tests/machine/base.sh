#!/bin/bash
# Builds the root file system all machines start from, of Debian $SUITE, in $ROOT. The caller runs
# this script in a mount namespace of its own and hashes it: any change here makes a new image.
# Progress goes to stdout, everything else to $LOG.
set -euo pipefail
exec 3>&1 >"$LOG" 2>&1
say() { echo "$*" >&3; }
export LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive

# An overlay whose syncs do nothing takes the fsync of every unpacked file away.
scratch=$(dirname "$ROOT")/scratch
mkdir -p "$ROOT" "$scratch"/{lower,work,merged}
mount -t overlay overlay -o "lowerdir=$scratch/lower,upperdir=$ROOT,workdir=$scratch/work,volatile" "$scratch/merged"
root=$scratch/merged

say "base image: debootstrap of Debian $SUITE from $MIRROR (about a minute)"
debootstrap --variant=minbase \
	--include=systemd,systemd-sysv,dbus,iproute2,iputils-ping,procps,netbase \
	"$SUITE" "$root" "$MIRROR"
rm -rf "$root"/usr/share/{man,doc,info,locale,lintian}/* "$root"/var/cache/apt/archives/*.deb \
	"$root"/var/lib/apt/lists/* "$root"/etc/apt/apt.conf.d/70debconf

# The host's apt resolves and fetches, so what makes apt work here (proxy, certificates) is used.
say "base image: fetching keepalived, haproxy and what they depend on"
apt=$scratch/apt
mkdir -p "$apt"/state/lists/partial "$apt"/cache/archives/partial
echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $MIRROR $SUITE main" >"$apt/sources.list"
host_apt() {
	apt-get -q -y -o Dir::Etc::SourceList="$apt/sources.list" -o Dir::Etc::SourceParts=/dev/null \
		-o Dir::State="$apt/state" -o Dir::State::status="$root/var/lib/dpkg/status" \
		-o Dir::Cache="$apt/cache" -o APT::Sandbox::User=root -o APT::Install-Recommends=0 \
		-o APT::Keep-Downloaded-Packages=1 -o DPkg::Post-Invoke= -o APT::Update::Post-Invoke= "$@"
}
host_apt update
host_apt --download-only install keepalived haproxy

say "base image: local package repository and settings"
repo=$root/opt/apt-repo
mkdir -p "$repo"
for deb in "$apt"/cache/archives/*.deb; do
	name=$(basename "$deb")
	cp "$deb" "$repo/${name//%3a/:}"
done
(cd "$repo" && apt-ftparchive packages . >Packages && apt-ftparchive release . >Release)

echo 'deb [trusted=yes] file:/opt/apt-repo ./' >"$root/etc/apt/sources.list"
cat >"$root/etc/apt/apt.conf.d/90lab" <<'CONF'
APT::Install-Recommends "0";
APT::Sandbox::User "root";
Acquire::Languages "none";
Dpkg::Use-Pty "0";
CONF
cat >"$root/etc/dpkg/dpkg.cfg.d/90lab" <<'CONF'
force-unsafe-io
path-exclude=/usr/share/man/*
path-exclude=/usr/share/doc/*
path-exclude=/usr/share/locale/*
CONF

# All but keepalived is preinstalled, so that an install hook unpacks one package, not twenty.
say "base image: installing haproxy and the dependencies"
chroot "$root" apt-get -q update
mapfile -t packages < <(cd "$repo" && printf '%s\n' *.deb | cut -d_ -f1 | grep -vx keepalived)
chroot "$root" apt-get -q -y install "${packages[@]}"
rm "$root/etc/systemd/system/multi-user.target.wants/haproxy.service"

# What a machine without disks, seats and internet does not need at boot.
for unit in getty.target console-getty.service getty-static.service \
	apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer \
	e2scrub_reap.service fstrim.timer systemd-tmpfiles-clean.timer systemd-pstore.service \
	systemd-update-utmp.service systemd-update-utmp-runlevel.service systemd-random-seed.service \
	systemd-firstboot.service systemd-machine-id-commit.service systemd-binfmt.service \
	systemd-modules-load.service systemd-pcrphase.service systemd-pcrphase-sysinit.service \
	systemd-repart.service systemd-remount-fs.service kmod-static-nodes.service \
	systemd-ask-password-wall.path systemd-ask-password-console.path \
	dev-hugepages.mount dev-mqueue.mount proc-sys-fs-binfmt_misc.automount \
	sys-fs-fuse-connections.mount sys-kernel-config.mount sys-kernel-debug.mount \
	sys-kernel-tracing.mount systemd-initctl.socket systemd-journald-audit.socket \
	systemd-resolved.service systemd-timesyncd.service systemd-networkd.service ldconfig.service; do
	ln -sf /dev/null "$root/etc/systemd/system/$unit"
done
# systemd starts every one of these at boot and whenever it reads its units anew, which would take
# a fifth of all that a scenario does; they look for disks, terminals and scripts of System V.
mkdir -p "$root/etc/systemd/system-generators"
for generator in "$root"/usr/lib/systemd/system-generators/*; do
	ln -s /dev/null "$root/etc/systemd/system-generators/${generator##*/}"
done
# logind is left for D-Bus to start when something asks for a reboot.
rm -f "$root/usr/lib/systemd/system/multi-user.target.wants/systemd-logind.service"
ln -sf /lib/systemd/system/multi-user.target "$root/etc/systemd/system/default.target"

# A journal on disk can be read after a power cut.
mkdir -p "$root/var/log/journal" "$root/etc/systemd/journald.conf.d" "$root/etc/systemd/system.conf.d"
printf '[Journal]\nStorage=persistent\nSystemMaxUse=64M\nRateLimitBurst=0\n' >"$root/etc/systemd/journald.conf.d/lab.conf"
printf '[Manager]\nDefaultTimeoutStopSec=10s\n' >"$root/etc/systemd/system.conf.d/lab.conf"
rm -f "$root/etc/machine-id" "$root/etc/hostname" "$root/etc/resolv.conf" "$root/var/lib/dbus/machine-id"
: >"$root/etc/machine-id"
printf '127.0.0.1 localhost\n::1 localhost\n' >"$root/etc/hosts"

umount "$scratch/merged"
