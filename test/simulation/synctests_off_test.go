//go:build !synctests

package simulation

// synctests is true if Kafka's client is built with locks that let the clock of a bubble go on while a goroutine waits for one.
const synctests = false
