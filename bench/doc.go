// Package bench measures tasktier on real servers beside what it is compared with. It is a module of its own, so that
// what it compares with never enters the product's go.mod.
//
//	cd bench && go test -bench . -benchtime 1000000x
//
// Every benchmark that compares runs its sides in one process, one after the other, on the same broker: read the ratio,
// not the figures.
package bench
