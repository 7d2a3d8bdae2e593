package history

import (
	"strings"

	"go.uber.org/zap/zapcore"
)

// sessionLost begins what a node logs when a session of its has ended; TestNodesSayThatTheirSessionIsOver holds it to that.
const sessionLost = "session lost"

// Hook is for zap.Hooks of a node's logger: it writes when a session of the node is over.
func (w *Writer) Hook(e zapcore.Entry) error {
	if !strings.HasPrefix(e.Message, sessionLost) {
		return nil
	}
	return w.Write(Event{Kind: Over})
}
