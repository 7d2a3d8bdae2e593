//go:build race

package spec

// raceOn: the explorer has no second goroutine, so the race detector finds nothing here and takes ten times as long.
const raceOn = true
