package machine

import (
	"fmt"
	"os"
	"os/signal"
	"sync"
	"syscall"
)

// signalled are the labs that end with the process. There is one handler for all of them:
// one for each would end the process while another is still closing its own.
var signalled struct {
	mu   sync.Mutex
	labs map[*Lab]bool
	stop func() // takes the handler away
}

// CloseOnSignal closes the labs when the process gets SIGINT, SIGTERM or SIGHUP, with those of
// other calls, and then ends the process with the status shells give for that signal. The
// returned function takes these labs out.
func CloseOnSignal(labs ...*Lab) (stop func()) {
	signalled.mu.Lock()
	defer signalled.mu.Unlock()
	if len(signalled.labs) == 0 {
		signalled.labs, signalled.stop = map[*Lab]bool{}, handleSignals()
	}
	for _, l := range labs {
		signalled.labs[l] = true
	}
	return sync.OnceFunc(func() {
		signalled.mu.Lock()
		defer signalled.mu.Unlock()
		for _, l := range labs {
			delete(signalled.labs, l)
		}
		if len(signalled.labs) == 0 {
			signalled.stop()
		}
	})
}

func handleSignals() (stop func()) {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	done := make(chan struct{})
	go func() {
		select {
		case <-done:
		case got := <-signals:
			signalled.mu.Lock() // for good: whoever makes a lab now waits for the end
			status := 128
			if number, ok := got.(syscall.Signal); ok {
				status += int(number)
			}
			var closing sync.WaitGroup
			for l := range signalled.labs {
				closing.Go(func() {
					if err := l.Close(); err != nil {
						fmt.Fprintln(os.Stderr, err)
					}
				})
			}
			closing.Wait()
			os.Exit(status)
		}
	}()
	return func() {
		signal.Stop(signals)
		close(done)
	}
}
