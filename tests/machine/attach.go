package machine

import (
	"context"
	_ "embed"
	"fmt"
	"net/netip"
)

// SecondInterface is the name of the interface that Attach makes.
const SecondInterface = "eth1"

//go:embed attach.sh
var attachScript string

// Second is the port's address on its second interface: 10.10.76 with the last number of IPv4.
func (p *Port) Second() netip.Prefix {
	return netip.MustParsePrefix(fmt.Sprintf("10.10.76.%d/24", p.host))
}

// second is the name of the second interface at the switch.
func (p *Port) second() string { return fmt.Sprintf("side%d", p.host) }

// Attach gives a port a second interface, on a network that only second interfaces share. It goes
// when the machine loses power and does not come back by itself.
func (n *Network) Attach(ctx context.Context, port *Port) error {
	if err := shell(ctx, attachScript, n.sw, port.ns, port.second(), port.Second().String(), fmt.Sprintf("52:54:00:76:00:%02x", port.host)); err != nil {
		return fmt.Errorf("cannot attach second interface of %s: %w", port.Name, err)
	}
	return nil
}

// Detach removes the second interface.
func (n *Network) Detach(ctx context.Context, port *Port) error {
	return n.link(ctx, port, "detach second interface of", "del", port.second())
}
