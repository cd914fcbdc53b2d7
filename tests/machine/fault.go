package machine

import "context"

// LinkDown takes the network cable out; the machine sees its carrier go.
func (m *Machine) LinkDown(ctx context.Context) error { return m.lab.Network.Cut(ctx, m.port) }

// LinkUp puts the cable back.
func (m *Machine) LinkUp(ctx context.Context) error { return m.lab.Network.Mend(ctx, m.port) }

// Partition separates the machine from all others while its carrier stays.
func (m *Machine) Partition(ctx context.Context) error {
	return m.lab.Network.Partition(ctx, m.port)
}

// Rejoin ends a partition.
func (m *Machine) Rejoin(ctx context.Context) error { return m.lab.Network.Rejoin(ctx, m.port) }

// Freeze stops every process of the machine, as a hung hypervisor does; its kernel still answers.
func (m *Machine) Freeze() error { return m.freeze(true) }

// Thaw lets a frozen machine go on.
func (m *Machine) Thaw() error { return m.freeze(false) }

func (m *Machine) freeze(on bool) error {
	s := m.session()
	if s == nil {
		return m.errOff()
	}
	return s.group.freeze(on)
}
