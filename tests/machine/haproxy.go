package machine

import (
	"context"
	_ "embed"
	"fmt"
)

//go:embed haproxy.cfg
var haproxyConfig []byte

// ServicePort is the TCP port on which the HAProxy of StartHAProxy answers.
const ServicePort = 443

// OtherServicePort is a second port on which it answers the same.
const OtherServicePort = 8443

// StartHAProxy has HAProxy, whose package every machine has, start now and at every boot, and
// answer HTTP on both ports, on all addresses of both families, with one line: the machine's name.
// Run again it changes nothing.
func (m *Machine) StartHAProxy(ctx context.Context) error {
	if err := m.WriteFile(ctx, "/etc/haproxy/haproxy.cfg", haproxyConfig, 0o644); err != nil {
		return fmt.Errorf("cannot configure haproxy: %w", err)
	}
	// The link is what systemctl enable makes, which would ask after scripts of System V besides.
	_, err := m.Run(ctx, `
		ln -sf /lib/systemd/system/haproxy.service /etc/systemd/system/multi-user.target.wants/
		systemctl start haproxy
		systemctl is-active --quiet haproxy`)
	if err != nil {
		return fmt.Errorf("cannot start haproxy: %w", err)
	}
	return nil
}
