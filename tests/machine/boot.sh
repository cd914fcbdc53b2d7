# Boots one machine, in a mount namespace that ends with it:
# $1 base root, $2 disk, $3 name, $4 network namespace, then more arguments for systemd-nspawn.
base=$1 disk=$2 name=$3 netns=$4
shift 4
# An overlay without syncs refuses its work directory after a power cut; the page cache survived it.
rm -rf "$disk/work/work/incompat"
mount -t overlay overlay -o "lowerdir=$base,upperdir=$disk/upper,workdir=$disk/work,volatile" "$disk/root"
# systemd-nspawn keeps locks here and would leave them behind when killed.
mkdir -p /run/systemd
mount -t tmpfs tmpfs /run/systemd
# Control groups of version 2 whatever the host uses; sysctls below net writable.
export SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=1 SYSTEMD_NSPAWN_API_VFS_WRITABLE=network
exec systemd-nspawn --quiet --settings=no --boot --notify-ready=yes \
	--register=no --keep-unit \
	--directory="$disk/root" --machine="$name" --hostname="$name" \
	--network-namespace-path="$netns" --resolv-conf=off --timezone=off \
	--link-journal=no --console=read-only \
	--capability=CAP_NET_ADMIN,CAP_NET_RAW,CAP_SYS_NICE,CAP_IPC_LOCK \
	"$@"
