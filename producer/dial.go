package producer

import (
	"context"
	"errors"
	"net"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// dials remembers why brokers can't be reached, as the client's hook. The client itself tries again without a word until
// the caller's context ends, and "deadline exceeded" helps nobody.
type dials struct{ last atomic.Pointer[error] }

var errNoConnection = errors.New("no connection was made in time")

// newDials returns one that has not connected yet.
func newDials() *dials {
	d := new(dials)
	d.last.Store(&errNoConnection)
	return d
}

var _ kgo.HookBrokerConnect = (*dials)(nil)

// OnBrokerConnect is called after each attempt to connect.
func (d *dials) OnBrokerConnect(_ kgo.BrokerMetadata, _ time.Duration, _ net.Conn, err error) {
	switch {
	case err == nil:
		d.last.Store(nil)
	case !errors.Is(err, context.Canceled): // the client gave up, which says nothing about the broker
		d.last.Store(&err)
	}
}

// lastError is why there is no connection, nil if the latest attempt made one.
func (d *dials) lastError() error {
	if err := d.last.Load(); err != nil {
		return *err
	}
	return nil
}
