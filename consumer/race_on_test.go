//go:build race

package consumer_test

// underRace: the race detector makes what follows ten times as slow.
const underRace = true
