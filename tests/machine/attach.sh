# Gives a namespace at the switch a second interface, to a network of its own:
# $1 switch, $2 namespace, $3 interface at the switch, $4 IPv4 address, $5 link-layer address:
# always the same, so that what others remember of it stays true.
ip -n "$1" link show br1 >/dev/null 2>&1 || ip -n "$1" link add br1 type bridge stp_state 0 forward_delay 0 mcast_snooping 0
ip -n "$1" link set br1 up
# That of a machine that lost power may be there for a moment yet.
ip -n "$1" link del "$3" 2>/dev/null || true
ip -n "$1" link add "$3" mtu 1500 type veth peer name eth1 address "$5" mtu 1500 netns "$2"
ip -n "$1" link set "$3" master br1 up
ip -n "$2" address add "$4" dev eth1
ip -n "$2" link set eth1 up
