//go:build synctests

package consumer_test

// synctests: the locks of Kafka's client are such that a bubble's clock goes on while somebody waits for one.
const synctests = true
