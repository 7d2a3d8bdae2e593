package tasktier

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.uber.org/zap"
)

// A web is the node's HTTP server for probes and metrics; nil when none is configured.
type web struct {
	server   *http.Server
	listener net.Listener
	serving  sync.WaitGroup
}

// listen starts the server. An address that can't be had is an error at the start, not a node without probes.
func (n *Node) listen(ctx context.Context) (*web, error) {
	if n.cfg.Node.HTTP == "" {
		return nil, nil
	}
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", n.cfg.Node.HTTP)
	if err != nil {
		return nil, fmt.Errorf("serve probes and metrics (node.http): %w", err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", n.healthz)
	mux.HandleFunc("GET /readyz", n.readyz)
	mux.Handle("GET /metrics", promhttp.HandlerFor(n.registry, promhttp.HandlerOpts{}))
	w := &web{server: &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}, listener: l}
	w.serving.Go(func() {
		if err := w.server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			n.log.Error("the server of probes and metrics ended", zap.Error(err))
		}
	})
	return w, nil
}

func (w *web) addr() string {
	if w == nil {
		return ""
	}
	return w.listener.Addr().String()
}

// close ends the server and the requests it serves.
func (w *web) close() {
	if w == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if w.server.Shutdown(ctx) != nil {
		w.server.Close()
	}
	w.serving.Wait()
}

// healthz fails when the process had better be restarted: a poll loop is wedged.
func (n *Node) healthz(w http.ResponseWriter, _ *http.Request) {
	if c, _ := n.running(); c != nil {
		if err := c.Healthy(); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
	}
	fmt.Fprintln(w, "ok")
}

// readyz fails before the node consumes and once it has stopped.
func (n *Node) readyz(w http.ResponseWriter, _ *http.Request) {
	if c, _ := n.running(); c == nil {
		http.Error(w, "not consuming: it starts, stops or is drained", http.StatusServiceUnavailable)
		return
	}
	fmt.Fprintln(w, "ok")
}
