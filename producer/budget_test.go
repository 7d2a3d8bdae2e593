package producer

import (
	"context"
	"errors"
	"sync"
	"testing"
)

// waitFor blocks until n are waiting, by the only means that needs no clock: asking.
func waitFor(t *testing.T, b *budget, n int) {
	t.Helper()
	for {
		b.mu.Lock()
		got := len(b.waiters)
		b.mu.Unlock()
		if got == n {
			return
		}
		select {
		case <-t.Context().Done():
			t.Fatal("nobody waits")
		default:
		}
	}
}

func TestBudgetServesInOrder(t *testing.T) {
	b, ctx := newBudget(10), context.Background()
	if _, err := b.acquire(ctx, 8); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	order := make(chan int, 3)
	for i, cost := range []int{9, 1, 100} { // the small one would fit now, but came after the large one
		wg.Go(func() {
			granted, err := b.acquire(ctx, cost)
			if err != nil {
				t.Error(err)
			}
			order <- i
			b.release(granted)
		})
		waitFor(t, b, i+1)
	}
	select {
	case i := <-order:
		t.Fatalf("%d went ahead", i)
	default:
	}
	b.release(8)
	wg.Wait()
	got := map[int]bool{}
	for range 2 {
		got[<-order] = true
	}
	if !got[0] || !got[1] || <-order != 2 {
		t.Errorf("the first two were %v", got)
	}
	if b.free != 10 || b.held != 0 {
		t.Errorf("%d of 10 are free, %d held", b.free, b.held)
	}
}

// One that leaves must not hold up those behind it, nor take its share along.
func TestBudgetForgetsThoseWhoLeave(t *testing.T) {
	b := newBudget(10)
	first, _ := b.acquire(context.Background(), 5)
	ctx, cancel := context.WithCancelCause(context.Background())
	left, served := make(chan error), make(chan error)
	go func() { _, err := b.acquire(ctx, 10); left <- err }()
	waitFor(t, b, 1)
	go func() { _, err := b.acquire(context.Background(), 5); served <- err }()
	waitFor(t, b, 2)
	why := errors.New("enough")
	cancel(why)
	if err := <-left; !errors.Is(err, why) {
		t.Errorf("got %v", err)
	}
	if err := <-served; err != nil {
		t.Errorf("got %v", err)
	}
	b.release(first)
	b.release(5)
	if b.free != 10 || b.held != 0 {
		t.Errorf("%d of 10 are free, %d held", b.free, b.held)
	}
}

func TestBudgetCloses(t *testing.T) {
	b := newBudget(10)
	granted, _ := b.acquire(context.Background(), 100) // more than there is: all of it
	waiting := make(chan error)
	go func() { _, err := b.acquire(context.Background(), 1); waiting <- err }()
	waitFor(t, b, 1)
	if !b.close() || b.close() {
		t.Error("close does not say whether it was open")
	}
	if err := <-waiting; !errors.Is(err, ErrClosed) {
		t.Errorf("got %v", err)
	}
	if _, err := b.acquire(context.Background(), 1); !errors.Is(err, ErrClosed) {
		t.Errorf("got %v", err)
	}
	select {
	case <-b.idle:
		t.Error("idle while something is held")
	default:
	}
	b.release(granted)
	<-b.idle
}

// Granted and canceled in the same moment: whichever acquire says, the account must be right.
func TestBudgetGrantedWhileLeaving(t *testing.T) {
	for range 100 {
		b := newBudget(10)
		granted, _ := b.acquire(context.Background(), 10)
		ctx, cancel := context.WithCancel(context.Background())
		result := make(chan int)
		go func() {
			granted, err := b.acquire(ctx, 10)
			if err != nil {
				granted = 0
			}
			result <- granted
		}()
		waitFor(t, b, 1)
		b.mu.Lock()
		cancel()
		b.giveBack(granted)
		b.mu.Unlock()
		if got := <-result; got > 0 {
			b.release(got)
		}
		if b.free != 10 || b.held != 0 {
			t.Fatalf("%d of 10 are free, %d held", b.free, b.held)
		}
	}
}
