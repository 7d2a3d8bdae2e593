package nemesis

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/tasktier/tasktier/internal/testenv"
)

// A Route is what lies between one client and one service: a proxy for each server of it.
type Route struct {
	Name    string // such as "node-1 to redis"
	To      Class  // the service
	Proxies []*Proxy
}

// NewRoute puts a proxy before each of the servers. The caller closes it.
//
// It fits servers that are reached at the addresses that a client was given: Redis alone, and etcd, whose client asks for
// no others. Kafka has [KafkaRoute]. Nodes of a Redis Cluster tell clients each other's addresses, and have one set of
// them for everybody: a route would have to stand between them too.
func NewRoute(name string, to Class, servers ...string) (*Route, error) {
	r := &Route{Name: name, To: to}
	for _, s := range servers {
		if _, err := r.through(s); err != nil {
			return nil, errors.Join(err, r.Close())
		}
	}
	return r, nil
}

// KafkaRoute is a route to the brokers that are started with the option: one listener of each is for those that come this
// way, and they are told of no other. Brokers among themselves, and clients of their own addresses, do not come by. The
// caller closes it.
func KafkaRoute(name string) (*Route, testenv.KafkaOption) {
	r := &Route{Name: name, To: Kafka}
	return r, testenv.KafkaListener(func(_ int32, addr string) (string, error) { return r.through(addr) })
}

func (r *Route) through(server string) (string, error) {
	p, err := NewProxy(server)
	if err != nil {
		return "", fmt.Errorf("lay route %s: %w", r.Name, err)
	}
	r.Proxies = append(r.Proxies, p)
	return p.Addr(), nil
}

// Addrs is what the client is given in place of the servers' addresses, in their order.
func (r *Route) Addrs() []string {
	addrs := make([]string, len(r.Proxies))
	for i, p := range r.Proxies {
		addrs[i] = p.Addr()
	}
	return addrs
}

// Close ends all connections of the route.
func (r *Route) Close() error {
	var errs []error
	for _, p := range r.Proxies {
		errs = append(errs, p.Close())
	}
	return errors.Join(errs...)
}

// Cut resets the connections, and new ones as soon as they are made.
func (r *Route) Cut(lasts Span) Fault { return r.fault("cut", lasts, (*Proxy).Cut) }

// Hang lets nothing pass; connections stay open.
func (r *Route) Hang(lasts Span) Fault { return r.fault("hangs", lasts, (*Proxy).Hang) }

// Delay makes every message so late in each direction, by up to jitter more or less.
func (r *Route) Delay(by, jitter time.Duration, lasts Span) Fault {
	return r.fault(fmt.Sprintf("delayed by %s±%s", by, jitter), lasts, func(p *Proxy) { p.Delay(by, jitter) })
}

// Throttle lets so many bytes a second pass.
func (r *Route) Throttle(rate int, lasts Span) Fault {
	return r.fault(fmt.Sprintf("throttled to %d B/s", rate), lasts, func(p *Proxy) { p.Throttle(rate) })
}

// LoseReplies lets requests reach the servers and holds what they answer; then the connections are reset, and the answers
// are lost.
func (r *Route) LoseReplies(lasts Span) Fault {
	f := r.fault("loses replies", lasts, (*Proxy).HangReplies)
	hang := f.Hit
	f.Hit = func(ctx context.Context) (Wound, error) {
		w, err := hang(ctx)
		heal := w.Mend
		w.Mend = func(ctx context.Context) error {
			for _, p := range r.Proxies {
				p.Cut()
			}
			return heal(ctx)
		}
		return w, err
	}
	return f
}

func (r *Route) fault(name string, lasts Span, harm func(*Proxy)) Fault {
	excuses := map[Class]Excuse{Etcd: SessionLost}
	return Fault{
		Name: name, Target: r.Name, Class: Network, Lasts: lasts, Excuse: excuses[r.To],
		Hit: func(context.Context) (Wound, error) {
			for _, p := range r.Proxies {
				harm(p)
			}
			return Wound{Mend: func(context.Context) error {
				for _, p := range r.Proxies {
					p.Heal()
				}
				return nil
			}}, nil
		},
	}
}
