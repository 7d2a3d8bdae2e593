// Package consumertest runs consumers in tests, on the servers of internal/testenv/inmemory: a [Node] is a running consumer,
// and [Claims] is all that it needs to have claims. It imports consumer, so only external tests of that package (package
// consumer_test) can import it.
package consumertest
