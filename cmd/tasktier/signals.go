package main

import (
	"context"
	"os"
	"os/signal"
	"sync"
	"syscall"
)

// signals turns SIGINT and SIGTERM into the end of a context. A second signal does what the command asked for, and one
// after that, or a second one that nothing was asked for, ends the process on the spot.
type signals struct {
	received chan os.Signal
	done     chan struct{}
	waiting  sync.WaitGroup

	mu     sync.Mutex
	first  os.Signal
	told   func(os.Signal)
	second func()
}

// listen returns a context that ends with the first signal.
func listen(parent context.Context) (context.Context, *signals) {
	ctx, cancel := context.WithCancel(parent)
	s := &signals{received: make(chan os.Signal, 2), done: make(chan struct{})}
	signal.Notify(s.received, os.Interrupt, syscall.SIGTERM)
	s.waiting.Go(func() {
		defer cancel()
		select {
		case sig := <-s.received:
			s.mu.Lock()
			s.first = sig
			told, second := s.told, s.second
			s.mu.Unlock()
			if second == nil {
				signal.Stop(s.received)
			}
			if told != nil {
				told(sig)
			}
			cancel()
			if second == nil {
				return
			}
		case <-s.done:
			return
		}
		select {
		case <-s.received:
			signal.Stop(s.received)
			s.second()
		case <-s.done:
		}
	})
	return ctx, s
}

// handle has told called on the first signal and second on the second. It must be called before there was one to have
// an effect.
func (s *signals) handle(told func(os.Signal), second func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.told, s.second = told, second
}

// interrupted says whether the first signal was SIGINT.
func (s *signals) interrupted() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.first == os.Interrupt
}

// close stops listening. Signals end the process from then on.
func (s *signals) close() {
	signal.Stop(s.received)
	close(s.done)
	s.waiting.Wait()
}
