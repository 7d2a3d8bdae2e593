//go:build race

package bubble

// UnderRace says whether the race detector is on: it makes tests ten times as slow.
const UnderRace = true
