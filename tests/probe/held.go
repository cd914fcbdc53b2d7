package probe

import (
	"bufio"
	"context"
	"net"
	"time"
)

const (
	holdInterval = 100 * time.Millisecond // between requests on the held connection
	holdLimit    = 5 * time.Second        // for an answer: TCP may retransmit, and the host be busy
	holdRetry    = 50 * time.Millisecond  // between tries to open it
)

// Held is the fate of the connection that was to stay open.
type Held struct {
	// Connects counts how often it was opened, Exchanges the requests answered on it.
	Connects  int `json:"connects"`
	Exchanges int `json:"exchanges"`
	// Breaks lists when and why it broke.
	Breaks []Break `json:"breaks,omitempty"`
}

// A Break is the end of a held connection that nobody asked for.
type Break struct {
	At    time.Time `json:"at"`
	Cause string    `json:"cause"`
}

// hold keeps a connection open until ctx ends and opens it again when it breaks.
func (p Prober) hold(ctx context.Context, tell func(Event)) *Held {
	held := &Held{}
	for ctx.Err() == nil {
		conn, err := net.DialTimeout("tcp", p.Target.String(), holdLimit/2)
		if err != nil {
			pause(ctx, holdRetry)
			continue
		}
		held.Connects++
		err = p.exchange(ctx, conn, held)
		conn.Close()
		if err != nil {
			broken := Break{At: time.Now(), Cause: cause(err)}
			held.Breaks = append(held.Breaks, broken)
			tell(Event{Kind: EventBroken, At: broken.At, Cause: broken.Cause})
		}
	}
	return held
}

// exchange uses the connection until ctx ends, or until it breaks with the error returned. Without
// names to ask for, the connection only has to stay silent and open.
func (p Prober) exchange(ctx context.Context, conn net.Conn, held *Held) error {
	r := bufio.NewReader(conn)
	for ctx.Err() == nil {
		if p.Name {
			if err := conn.SetDeadline(time.Now().Add(holdLimit)); err != nil {
				return err
			}
			if _, err := ask(conn, r, "HTTP/1.1"); err != nil {
				return err
			}
			held.Exchanges++
			pause(ctx, holdInterval)
			continue
		}
		if err := conn.SetDeadline(time.Now().Add(holdInterval)); err != nil {
			return err
		}
		if _, err := r.ReadByte(); err != nil && cause(err) != causeTimeout {
			return err
		}
	}
	return nil
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}
