package reconcile

import "net/netip"

// MACs are those that the peers told, by their addresses: who answers for one of these
// with another may be a proxy.
func MACs(o Observed) map[netip.Addr][]string {
	macs := map[netip.Addr][]string{}
	for _, p := range o.peers() {
		for _, a := range p.own() {
			macs[a] = p.member.MACs
		}
	}
	return macs
}
