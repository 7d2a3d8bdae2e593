package control

import "time"

// Anew makes a watcher believe its watch no longer than that.
func (w *Watcher) Anew(d time.Duration) { w.anew = d }
