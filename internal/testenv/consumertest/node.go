package consumertest

import (
	"context"
	"testing"
	"time"

	"github.com/tasktier/tasktier/consumer"
	"github.com/tasktier/tasktier/internal/testenv/inmemory"
)

// A Node is a consumer that runs.
type Node struct {
	*consumer.Consumer
	t    *testing.T
	end  context.CancelFunc
	done chan error
}

// Start starts a consumer. It is aborted when the test ends, if it has not ended before.
func Start(t *testing.T, cfg consumer.Config) *Node {
	t.Helper()
	c, err := consumer.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	n := &Node{Consumer: c, t: t, end: cancel, done: make(chan error, 1)}
	go func() { n.done <- c.Run(ctx) }()
	t.Cleanup(func() { cancel(); c.Abort() })
	return n
}

// End tells the node to stop, and returns at once.
func (n *Node) End() { n.end() }

// Stop stops the node, waits for the end of its drain, and returns what Run returned.
func (n *Node) Stop() error {
	n.t.Helper()
	n.end()
	return n.Wait()
}

// Wait waits until the node has stopped, and returns what Run returned. It can be called once.
func (n *Node) Wait() error {
	n.t.Helper()
	select {
	case err := <-n.done:
		return err
	case <-time.After(inmemory.Timeout):
		n.t.Fatal("the node did not stop")
		return nil
	}
}
