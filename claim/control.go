package claim

import (
	"context"
	"encoding/json"
	"strings"
	"time"

	"github.com/tasktier/tasktier/internal/throttle"
	"go.uber.org/zap"
)

// What is said on the control channel, which all nodes listen to. A message is a hint: what counts is in the claims, and
// the refresh finds there what a lost message was about.
const (
	// "cancel <key>": the claim of that name in Redis asks for its run to be canceled.
	cancelWord = "cancel"
	// "list <channel>": publish what runs here, and what ended here lately, to that channel.
	listWord = "list"
)

func (s *Store) controlChannel() string { return s.prefix + ":control" }

// A report is a node's answer to "list".
type report struct {
	Running []Entry `json:"running"`
	Recent  []Entry `json:"recent"`
}

// mostReported bounds a report: of what runs, and of what ended.
const mostReported = 1000

// listen obeys the control channel until ctx ends. The client reconnects by itself.
func (b *Book) listen(ctx context.Context) {
	var trouble throttle.Throttle
	for ctx.Err() == nil {
		if err := b.hear(ctx); err != nil && ctx.Err() == nil && trouble.Allow() {
			b.cfg.Log.Warn("can't listen for cancellations; they are seen at the next refresh", zap.Error(err))
		}
		select {
		case <-ctx.Done():
		case <-time.After(maxPause):
		}
	}
}

func (b *Book) hear(ctx context.Context) error {
	sub := b.store.client.Subscribe(ctx, b.store.controlChannel())
	defer sub.Close()
	if _, err := sub.Receive(ctx); err != nil {
		return err
	}
	messages := sub.Channel()
	for {
		select {
		case <-ctx.Done():
			return nil
		case m, ok := <-messages:
			if !ok {
				return nil
			}
			word, rest, _ := strings.Cut(m.Payload, " ")
			switch word {
			case cancelWord:
				b.cancelAsked(rest)
			case listWord:
				b.report(ctx, rest)
			}
		}
	}
}

// cancelAsked looks at a claim of ours that somebody wants canceled.
func (b *Book) cancelAsked(name string) {
	for _, h := range b.register.all() {
		if h.name == name {
			if o := b.freshen(h, time.Now().Add(time.Minute).UnixMilli()); o != nil {
				b.swaps.add(o)
			}
		}
	}
}

// report answers those who want to know what runs.
func (b *Book) report(ctx context.Context, channel string) {
	r := report{Running: b.running(), Recent: b.recent.list()}
	r.Running = r.Running[:min(len(r.Running), mostReported)]
	text, err := json.Marshal(r)
	if err == nil {
		err = b.store.client.Publish(ctx, channel, text).Err()
	}
	if err != nil && b.trouble.Allow() {
		b.cfg.Log.Warn("can't answer who runs what", zap.Error(err))
	}
}
