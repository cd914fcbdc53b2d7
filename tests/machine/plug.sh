# Plugs a new network namespace into the switch:
# $1 switch, $2 namespace, $3 interface at the switch, $4 MAC, $5 IPv4 address, $6 IPv6 address.
ip netns add "$2"
nsenter --net="/run/netns/$2" sh -euc '
	for scope in all default; do
		echo 0 >/proc/sys/net/ipv6/conf/$scope/accept_dad
		echo 0 >/proc/sys/net/ipv6/conf/$scope/accept_ra
	done
	ip link set lo up
'
# The pair is made in the switch and its far end at once in the machine: never on the host.
ip -n "$1" link add "$3" mtu 1500 type veth peer name eth0 address "$4" mtu 1500 netns "$2"
ip -n "$1" link set "$3" master br0 up
ip -n "$2" address add "$5" dev eth0
ip -n "$2" address add "$6" dev eth0 nodad
ip -n "$2" link set eth0 up
ip -n "$2" route add default via 10.10.74.1
ip -n "$2" -6 route add default via fd00:74::1
