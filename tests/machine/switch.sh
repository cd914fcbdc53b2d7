# Makes the switch: $1 is its network namespace.
ip netns add "$1"
nsenter --net="/run/netns/$1" sh -euc '
	for scope in all default; do
		echo 0 >/proc/sys/net/ipv6/conf/$scope/accept_dad
		echo 0 >/proc/sys/net/ipv6/conf/$scope/accept_ra
	done
	ip link set lo up
	ip link add br0 type bridge stp_state 0 forward_delay 0 mcast_snooping 0
	ip address add 10.10.74.1/24 dev br0
	ip address add fd00:74::1/64 dev br0 nodad
	ip link set br0 up
'
