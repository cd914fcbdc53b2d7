package lab

import (
	"context"
	"fmt"
	"strings"
	"time"

	"keepalived-charm/tests/bench"
)

// upgradeRow upgrades all units at once from the Python charm, as Juju does.
func upgradeRow() *benchRow {
	row := quietRow(bench.Change, "upgrade from the Python charm", bench.Reference{})
	row.Bound.TwoHolders = 1 // the Python charm's interval
	return &benchRow{
		target:  row,
		prepare: pythonAgain,
		event: func(ctx context.Context, s *stage) error {
			if err := s.Refresh(); err != nil {
				return err
			}
			return s.Settled(ctx)
		},
		rest: rest,
	}
}

// pythonAgain replaces the charm by the Python charm and waits until that serves.
func pythonAgain(ctx context.Context, s *stage) error {
	if err := s.RemoveApplication("keepalived"); err != nil {
		return err
	}
	limited, cancel := context.WithTimeout(ctx, settleLimit)
	defer cancel()
	if err := s.WaitUnits(limited, "keepalived to be gone", func(units map[string]Unit) bool {
		for name := range units {
			if strings.HasPrefix(name, "keepalived/") {
				return false
			}
		}
		return true
	}); err != nil {
		return err
	}
	if err := s.DeployPython(map[string]string{"virtual_ip": s.vip.String() + "/24"}); err != nil {
		return err
	}
	if err := s.Integrate("haproxy", "keepalived:juju-info"); err != nil {
		return err
	}
	if err := s.Settled(ctx); err != nil {
		return err
	}
	s.set = map[string]string{"virtual_ip": s.vip.String() + "/24"}
	return s.untroubled(ctx)
}

// untroubled waits for a second in which nothing is lost: two standbys of the Python
// charm may hold the address at once for some seconds.
func (s *stage) untroubled(ctx context.Context) error {
	for range 20 {
		m, err := s.Measure(ctx, s.vip, time.Second, func(context.Context) error { return nil })
		if err != nil {
			return err
		}
		if m.Lost == 0 && m.Shared == 0 && m.Cuts == 0 {
			s.holder, err = s.Holder(s.vip)
			return err
		}
	}
	return fmt.Errorf("cannot wait for the Python charm to serve %s", s.vip)
}
