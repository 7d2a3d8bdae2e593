//go:build !race

// Package race tells tests whether the race detector is on: it makes them ten times as slow.
package race

// On: it is not.
const On = false
