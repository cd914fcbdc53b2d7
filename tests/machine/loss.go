package machine

import (
	"context"
	"fmt"
	"os/exec"
	"strings"
)

// Lose has the switch drop a share of what it gets from a machine and of what it would pass to it,
// each in percent, 0-100, picked at random. It replaces an earlier share; the carrier stays.
func (m *Machine) Lose(ctx context.Context, from, to int) error {
	return m.lab.Network.lose(ctx, m.port, from, to)
}

// lose sets the share of the port's packets that the switch drops.
func (n *Network) lose(ctx context.Context, port *Port, from, to int) error {
	table := "netdev " + port.peer()
	// To delete a table it must be there.
	rules := fmt.Sprintf("table %s\ndelete table %s\n", table, table)
	chains := ""
	for hook, percent := range map[string]int{"ingress": from, "egress": to} {
		which := fmt.Sprintf("numgen random mod 100 < %d", percent)
		if percent >= 100 {
			which = ""
		}
		if percent > 0 {
			chains += fmt.Sprintf("chain %s { type filter hook %s device %s priority 0; %s drop; }\n", hook, hook, port.peer(), which)
		}
	}
	if chains != "" {
		rules += fmt.Sprintf("table %s {\n%s}\n", table, chains)
	}
	cmd := exec.CommandContext(ctx, "nsenter", "--net=/run/netns/"+n.sw, "--", "nft", "--file", "-")
	cmd.Stdin = strings.NewReader(rules)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("cannot drop packets of %s: %w: %s", port.Name, err, strings.TrimSpace(string(out)))
	}
	return nil
}
