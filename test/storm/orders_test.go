package storm

import (
	"context"
	"encoding/json"
	"os/signal"
	"syscall"
	"time"

	"github.com/tasktier/tasktier/config"
	"github.com/tasktier/tasktier/test/history"
)

// The roles of a crew.
const (
	nodeRole     = "node"
	producerRole = "producer"
	cancelerRole = "canceler"
	replayerRole = "replayer"
)

// Orders are what a process of the crew is told.
type orders struct {
	Role string `json:"role"`
	// Process is its name in the history, another one in each life.
	Process string `json:"process"`
	// History is the folder of the histories.
	History string `json:"history"`
	// Config is the file of the node's configuration, which says to all where the servers are.
	Config string `json:"config"`
	Load   load   `json:"load"`
	// Index is which of the producers it is.
	Index int `json:"index"`
}

// A load is which tasks there are, and when they are sent.
type load struct {
	Seed  uint64    `json:"seed"`
	Start time.Time `json:"start"`
	// Producers share the Rate, which is in tasks a second.
	Producers int     `json:"producers"`
	Rate      float64 `json:"rate"`
	mixture
	// Longest bounds delays, so that a short storm comes to rest soon.
	Longest time.Duration `json:"longest"`
}

// A mixture says what tasks do, and what is done about them.
type mixture struct {
	Kinds []share `json:"kinds"`
	// Again is how many of a hundred are sent twice, Canceled how many are canceled.
	Again    int `json:"again"`
	Canceled int `json:"canceled"`
	// Deadly is the time between two tasks that take their processes down; 0: there are none.
	Deadly time.Duration `json:"deadly"`
}

func (o orders) String() string {
	text, err := json.Marshal(o)
	if err != nil {
		panic(err) // numbers, texts and times
	}
	return string(text)
}

// config reads the configuration.
func (o orders) config() (config.Config, error) { return config.Load(o.Config, nil) }

// log opens the history of this life.
func (o orders) log() (*history.Writer, error) { return history.Create(o.History, o.Process) }

// untilStopped ends with SIGTERM.
func untilStopped() (context.Context, context.CancelFunc) {
	return signal.NotifyContext(context.Background(), syscall.SIGTERM)
}
