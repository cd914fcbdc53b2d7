package lab

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// controlSocket is where a lab that is kept up takes commands. One is enough for
// a person; tests do not use it.
const controlSocket = "/run/keepalived-lab.sock"

// commandLimit is how long a command may take to come.
const commandLimit = 10 * time.Second

// frame is one line of an answer: text to print, or the end.
type frame struct {
	Text  string `json:"text,omitempty"`
	Done  bool   `json:"done,omitempty"`
	Error string `json:"error,omitempty"`
}

// Listen claims the control socket; an error says that a lab is up already.
func Listen() (net.Listener, error) {
	if c, err := net.Dial("unix", controlSocket); err == nil {
		c.Close()
		return nil, errors.New("cannot start a lab: one is up already (lab down ends it)")
	}
	if err := os.MkdirAll(filepath.Dir(controlSocket), 0o755); err != nil {
		return nil, fmt.Errorf("cannot start a lab: %w", err)
	}
	if err := os.Remove(controlSocket); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("cannot start a lab: %w", err)
	}
	l, err := net.Listen("unix", controlSocket)
	if err != nil {
		return nil, fmt.Errorf("cannot start a lab: %w", err)
	}
	return l, nil
}

// Serve answers commands until ctx ends or one of them is "down".
func (l *Lab) Serve(ctx context.Context, listener net.Listener) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	go func() {
		<-ctx.Done()
		listener.Close()
	}()
	var connections sync.WaitGroup
	defer connections.Wait()
	for {
		c, err := listener.Accept()
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return fmt.Errorf("cannot take commands: %w", err)
		}
		connections.Go(func() {
			defer c.Close()
			if down := l.answer(ctx, c); down {
				stop()
			}
		})
	}
}

// answer runs one command; true when it was "down".
func (l *Lab) answer(ctx context.Context, c net.Conn) bool {
	var args []string
	_ = c.SetReadDeadline(time.Now().Add(commandLimit)) // one that says nothing
	if err := json.NewDecoder(bufio.NewReader(c)).Decode(&args); err != nil {
		return false
	}
	out := frames{json.NewEncoder(c)}
	if len(args) == 1 && args[0] == "down" {
		_ = out.Encode(frame{Done: true})
		return true
	}
	end := frame{Done: true}
	if err := l.Do(ctx, out, args...); err != nil {
		end.Error = err.Error()
	}
	_ = out.Encode(end) // who asked may have gone
	return false
}

type frames struct{ *json.Encoder }

func (f frames) Write(p []byte) (int, error) {
	if err := f.Encode(frame{Text: string(p)}); err != nil {
		return 0, err
	}
	return len(p), nil
}

// Ask has the lab that is up run a command and copies what it prints.
func Ask(out io.Writer, args ...string) error {
	c, err := net.DialTimeout("unix", controlSocket, time.Second)
	if err != nil {
		return errors.New("cannot reach a lab: none is up (make lab starts one)")
	}
	defer c.Close()
	if err := json.NewEncoder(c).Encode(args); err != nil {
		return fmt.Errorf("cannot ask the lab: %w", err)
	}
	d := json.NewDecoder(c)
	for {
		var f frame
		if err := d.Decode(&f); err != nil {
			return fmt.Errorf("cannot hear the lab's answer: %w", err)
		}
		switch {
		case f.Error != "":
			return errors.New(f.Error)
		case f.Done:
			return nil
		}
		fmt.Fprint(out, f.Text)
	}
}
