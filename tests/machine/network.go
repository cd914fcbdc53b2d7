package machine

import (
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os/exec"
	"path/filepath"
	"sync"
)

// Addresses of the lab's one subnet: the switch is .1 (every machine's default route), the client
// .2, machines follow from .11 on.
const (
	clientHost   = 2
	firstMachine = 11
	lastMachine  = 99
)

// Interface is the name of the network interface of machines and client.
const Interface = "eth0"

var (
	//go:embed switch.sh
	switchScript string
	//go:embed plug.sh
	plugScript string
)

// A Network is the lab's switch: a bridge in a network namespace of its own, to which namespaces
// are plugged by veth pairs. Multicast is flooded and duplicate address detection is off, so that a
// plugged port can talk at once.
type Network struct {
	prefix string // of every namespace's name
	sw     string // the switch's namespace

	mu    sync.Mutex
	ports map[string]*Port
}

// A Port is one place at the switch with the network namespace behind it.
type Port struct {
	// Name is the name of the machine, or "client".
	Name string
	// NetNS is the path of the network namespace.
	NetNS string
	// IPv4 and IPv6 are the primary addresses with their subnets.
	IPv4, IPv6 netip.Prefix

	host  int
	ns    string
	inUse bool
}

// newNetwork makes the switch; prefix is unique to the lab.
func newNetwork(ctx context.Context, prefix string) (*Network, error) {
	n := &Network{prefix: prefix, sw: prefix + "switch", ports: map[string]*Port{}}
	if err := shell(ctx, switchScript, n.sw); err != nil {
		return nil, fmt.Errorf("cannot make switch: %w", err)
	}
	return n, nil
}

// Plug gives name a network namespace connected to the switch. A name keeps its address for the
// lab's lifetime; a port that was unplugged comes back empty, like a machine that was powered off.
func (n *Network) Plug(ctx context.Context, name string) (*Port, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	port, err := n.assign(name)
	if err != nil {
		return nil, err
	}
	if port.inUse {
		return nil, fmt.Errorf("cannot plug %s: it is plugged already", name)
	}
	mac := fmt.Sprintf("52:54:00:74:00:%02x", port.host)
	err = shell(ctx, plugScript, n.sw, port.ns, port.peer(), mac, port.IPv4.String(), port.IPv6.String())
	if err != nil {
		err = fmt.Errorf("cannot plug %s into the switch: %w", name, err)
		return nil, errors.Join(err, n.scrap(context.WithoutCancel(ctx), port))
	}
	port.inUse = true
	return port, nil
}

// reserve gives name its address without plugging anything in.
func (n *Network) reserve(name string) (*Port, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.assign(name)
}

// release gives the address of a name back that is not plugged in.
func (n *Network) release(name string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.ports, name)
}

// assign finds the port of name or gives it the next free address. The caller holds the lock.
func (n *Network) assign(name string) (*Port, error) {
	if port, ok := n.ports[name]; ok {
		return port, nil
	}
	host := clientHost
	if name != clientName {
		taken := map[int]bool{}
		for _, port := range n.ports {
			taken[port.host] = true
		}
		for host = firstMachine; taken[host]; host++ {
		}
		if host > lastMachine {
			return nil, fmt.Errorf("cannot plug %s: the switch has no free port", name)
		}
	}
	ns := n.prefix + name
	port := &Port{
		Name: name, NetNS: filepath.Join("/run/netns", ns), ns: ns, host: host,
		IPv4: netip.MustParsePrefix(fmt.Sprintf("10.10.74.%d/24", host)),
		IPv6: netip.MustParsePrefix(fmt.Sprintf("fd00:74::%d/64", host)),
	}
	n.ports[name] = port
	return port, nil
}

// Cut takes the port's cable out at once: nothing sent from now on arrives.
func (n *Network) Cut(ctx context.Context, port *Port) error {
	return n.link(ctx, port, "cut", "set", port.peer(), "down")
}

// Mend puts the cable back in.
func (n *Network) Mend(ctx context.Context, port *Port) error {
	return n.link(ctx, port, "mend", "set", port.peer(), "up")
}

// Partition separates the port from all others while its carrier stays, as a failed switch between
// two racks does.
func (n *Network) Partition(ctx context.Context, port *Port) error {
	return n.link(ctx, port, "partition", "set", port.peer(), "nomaster")
}

// Rejoin ends a partition.
func (n *Network) Rejoin(ctx context.Context, port *Port) error {
	return n.link(ctx, port, "rejoin", "set", port.peer(), "master", "br0")
}

// Unplug removes the port's link and its network namespace with every address in it.
func (n *Network) Unplug(ctx context.Context, port *Port) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if !port.inUse {
		return nil
	}
	// Deleting the link first removes it at once; that of a namespace alone happens some time later.
	if err := n.link(ctx, port, "unplug", "del", port.peer()); err != nil {
		return err
	}
	if err := deleteNetNS(ctx, port.ns); err != nil {
		return err
	}
	port.inUse = false
	return nil
}

// scrap removes what an interrupted Plug may have made.
func (n *Network) scrap(ctx context.Context, port *Port) error {
	if !exists(port.NetNS) {
		return nil
	}
	return deleteNetNS(ctx, port.ns)
}

func (n *Network) link(ctx context.Context, port *Port, verb string, args ...string) error {
	if err := run(ctx, "ip", append([]string{"-n", n.sw, "link"}, args...)...); err != nil {
		return fmt.Errorf("cannot %s %s: %w", verb, port.Name, err)
	}
	return nil
}

// peer is the name of the port's interface at the switch.
func (p *Port) peer() string { return fmt.Sprintf("port%d", p.host) }

// An Address is one address on an interface, as the kernel reports it.
type Address struct {
	// Interface is the interface's name.
	Interface string
	// Prefix is the address with its subnet.
	Prefix netip.Prefix
}

// Addresses lists what the kernel has in the port's namespace, without loopback's own and
// link-local addresses.
func (p *Port) Addresses(ctx context.Context) ([]Address, error) {
	out, err := exec.CommandContext(ctx, "ip", "-n", p.ns, "-json", "address", "show").Output()
	if err != nil {
		return nil, fmt.Errorf("cannot list addresses of %s: %w", p.Name, err)
	}
	var links []struct {
		Name  string `json:"ifname"`
		Addrs []struct {
			Local string `json:"local"`
			Bits  int    `json:"prefixlen"`
		} `json:"addr_info"`
	}
	if err := json.Unmarshal(out, &links); err != nil {
		return nil, fmt.Errorf("cannot read addresses of %s: %w", p.Name, err)
	}
	var found []Address
	for _, link := range links {
		for _, a := range link.Addrs {
			addr, err := netip.ParseAddr(a.Local)
			if err != nil {
				return nil, fmt.Errorf("cannot read addresses of %s: %w", p.Name, err)
			}
			if addr.IsLoopback() || addr.IsLinkLocalUnicast() {
				continue
			}
			found = append(found, Address{Interface: link.Name, Prefix: netip.PrefixFrom(addr, a.Bits)})
		}
	}
	return found, nil
}
