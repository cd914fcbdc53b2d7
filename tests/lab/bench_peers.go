package lab

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"keepalived-charm/tests/bench"
	"keepalived-charm/tests/machine"
	"keepalived-charm/tests/patience"
)

// peerRest is how long an event of a peer is watched at least.
const peerRest = 5 * time.Second

// peerRows are the charm's first faults, measured on the peers.
func peerRows() []experiment {
	on := func(script string) func(context.Context, *stage) error {
		return func(ctx context.Context, s *stage) error {
			_, err := s.peers.holder.Run(ctx, script)
			return err
		}
	}
	var all []experiment
	for _, p := range peers() {
		e := experiment{peer: p}
		for _, row := range []struct {
			of      string
			prepare func(context.Context, *stage) error
			event   func(context.Context, *stage) error
		}{
			{"holder's machine loses power", nil, func(ctx context.Context, s *stage) error { return s.peers.holder.Kill(ctx) }},
			{"service on the holder is killed", on(staysDead), on("systemctl kill --signal=KILL haproxy")},
			{"service on the holder hangs", nil, on("systemctl kill --signal=STOP haproxy")},
			{"keepalived on the holder is stopped", nil, on(p.leave)},
		} {
			e.rows = append(e.rows, &benchRow{
				target:  target{Row: bench.Row{Kind: bench.Peer, Event: p.name + ": " + row.of, Peer: p.name, Of: row.of}, vip: peerVIP},
				prepare: row.prepare, event: row.event, rest: peerRest,
			})
		}
		all = append(all, e)
	}
	return all
}

// peerSet are the machines of the peers.
type peerSet struct {
	machines []*machine.Machine
	holder   *machine.Machine
}

// performPeer measures the rows of a peer; the charm's machines are switched off then.
func (s *stage) performPeer(ctx context.Context, e experiment, runs int) error {
	if s.peers == nil {
		if err := s.bootPeers(ctx); err != nil {
			return err
		}
	}
	if err := s.startPeer(ctx, e.peer); err != nil {
		return err
	}
	for run := range runs {
		for _, row := range e.rows {
			// What is not noticed once is not noticed.
			if !row.picked || slices.ContainsFunc(row.Runs, func(r bench.Run) bool { return r.Open }) {
				continue
			}
			s.say("%s (%d of %d)", row.Event, run+1, runs)
			if err := s.settlePeer(ctx, e.peer); err != nil {
				return err
			}
			if row.prepare != nil {
				if err := row.prepare(ctx, s); err != nil {
					return err
				}
			}
			pause(ctx, calm+rand.N(jitter))
			from := time.Now()
			all, err := s.MeasureAll(ctx, []netip.Addr{peerVIP}, row.rest, func(ctx context.Context) error { return row.event(ctx, s) })
			if err != nil {
				return err
			}
			s.take(ctx, &row.target, all[0], from)
		}
	}
	return nil
}

// bootPeers boots three machines beside the charm's, with every peer installed and none started.
func (s *stage) bootPeers(ctx context.Context) error {
	image, err := machine.EnsureBase(ctx, s.progress)
	if err != nil {
		return err
	}
	s.say("fetching %s", peerPackages)
	packages := filepath.Join(image.Cache, "peers-"+string(image.Base))
	fetch, err := peerFile("fetch")
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, "bash", "-c", fetch)
	cmd.Env = append(os.Environ(), "SUITE="+string(image.Base), "ROOT="+image.Root, "DIRECTORY="+packages, "PACKAGES="+peerPackages)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("cannot fetch %s: %w: %s", peerPackages, err, out)
	}
	for _, m := range s.members() {
		if err := m.Stop(ctx); err != nil {
			return err
		}
	}
	s.peers = &peerSet{}
	for n := range defaultUnits {
		m, err := s.Net.NewMachine(ctx, fmt.Sprintf("peer-%d", n), machine.Bind{Host: packages, Machine: "/opt/peers", ReadOnly: true})
		if err != nil {
			return err
		}
		s.peers.machines = append(s.peers.machines, m)
	}
	return s.peers.each(func(m *machine.Machine) error {
		s.say("booting %s", m.Name)
		err := m.Start(ctx)
		if err == nil {
			err = m.StartHAProxy(ctx)
		}
		if err == nil {
			_, err = m.Run(ctx, `printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d; chmod +x /usr/sbin/policy-rc.d
				export DEBIAN_FRONTEND=noninteractive
				apt-get --quiet update >&2; apt-get --quiet --yes install /opt/peers/*.deb keepalived >&2; rm /usr/sbin/policy-rc.d`)
		}
		return err
	})
}

// each does something on all machines at a time.
func (p *peerSet) each(do func(*machine.Machine) error) error {
	errs := make([]error, len(p.machines))
	var all sync.WaitGroup
	for n, m := range p.machines {
		all.Go(func() { errs[n] = do(m) })
	}
	all.Wait()
	return errors.Join(errs...)
}

// startPeer starts one peer in the place of another.
func (s *stage) startPeer(ctx context.Context, p *peer) error {
	var nodes []netip.Addr
	for _, m := range s.peers.machines {
		nodes = append(nodes, m.Port().IPv4.Addr())
	}
	if err := s.powerPeers(ctx); err != nil {
		return err
	}
	for n, m := range s.peers.machines {
		files, err := p.files(n, nodes)
		for path, text := range files {
			mode := os.FileMode(0o644)
			if strings.HasPrefix(text, "#!") {
				mode = 0o755
			}
			if err == nil {
				err = m.WriteFile(ctx, path, []byte(text), mode)
			}
		}
		if err != nil {
			return err
		}
		if _, err := m.Run(ctx, p.start); err != nil {
			return err
		}
	}
	if p.first != "" {
		if _, err := s.peers.machines[0].Run(ctx, p.first); err != nil {
			return err
		}
	}
	return nil
}

func (s *stage) powerPeers(ctx context.Context) error {
	for _, m := range s.peers.machines {
		if !m.Running() {
			if err := m.Start(ctx); err != nil {
				return err
			}
		}
	}
	return nil
}

const (
	// peerLimit bounds how long a peer may take to come to rest, peerCalm is how long it then does:
	// the one by hand moves back some seconds after its check passes.
	peerLimit = 2 * time.Minute
	peerCalm  = 6 * time.Second
)

// settlePeer brings a peer's machines to what every run starts from.
func (s *stage) settlePeer(ctx context.Context, p *peer) error {
	if err := s.powerPeers(ctx); err != nil {
		return err
	}
	for _, m := range s.peers.machines {
		if _, err := m.Run(ctx, mendService+"\nsystemctl start haproxy\nfor unit in keepalived corosync pacemaker; do "+
			"systemctl is-enabled --quiet $unit 2>/dev/null && systemctl start $unit; done; true"); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, patience.With(peerLimit))
	defer cancel()
	since, last := time.Now(), ""
	for {
		holders, rests := s.Holders.Holders(peerVIP), true
		for _, m := range s.peers.machines {
			rests = rests && len(holders) == 1
			if rests {
				_, err := m.Run(ctx, p.settled)
				rests = err == nil
			}
		}
		if !rests || holders[0] != last {
			since, last = time.Now(), ""
			if rests {
				last = holders[0]
			}
		}
		if last != "" && time.Since(since) > peerCalm {
			break
		}
		if ctx.Err() != nil {
			text, _ := s.peers.machines[0].Run(context.WithoutCancel(ctx), "crm_mon --one-shot --inactive 2>&1; systemctl status --no-pager keepalived corosync pacemaker 2>&1; journalctl --no-pager --lines=60; true")
			return fmt.Errorf("cannot bring %s to rest (holders: %v): %w\n%s", p.name, holders, ctx.Err(), text)
		}
		pause(ctx, 200*time.Millisecond)
	}
	for _, m := range s.peers.machines {
		if m.Name == last {
			s.peers.holder = m
		}
	}
	return nil
}
