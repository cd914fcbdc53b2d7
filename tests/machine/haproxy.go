package machine

import (
	"context"
	_ "embed"
	"fmt"
)

//go:embed haproxy.cfg
var haproxyConfig []byte

// ServicePort is the TCP port on which the HAProxy of InstallHAProxy answers.
const ServicePort = 443

// OtherServicePort is a second port on which it answers the same.
const OtherServicePort = 8443

// InstallHAProxy installs HAProxy from Debian's package and has it answer HTTP on both ports, on
// all addresses of both families, with one line: the machine's name. Run again it changes nothing.
func (m *Machine) InstallHAProxy(ctx context.Context) error {
	if err := m.WriteFile(ctx, "/etc/haproxy/haproxy.cfg", haproxyConfig, 0o644); err != nil {
		return fmt.Errorf("cannot configure haproxy: %w", err)
	}
	// The configuration is there before the package, which keeps it and starts the service with it.
	_, err := m.Run(ctx, `
		dpkg-query --show haproxy >/dev/null 2>&1 ||
			apt-get install --yes --quiet -o Dpkg::Options::=--force-confold haproxy
		systemctl is-active --quiet haproxy`)
	if err != nil {
		return fmt.Errorf("cannot install haproxy: %w", err)
	}
	return nil
}
