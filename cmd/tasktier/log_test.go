package main

import (
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"
)

// TestServersSayWhyTheyEnd shows what 'dev' tells of the embedded servers without being asked: why etcd ends the process, and
// what is wrong with Kafka; not what they say whenever they are closed.
func TestServersSayWhyTheyEnd(t *testing.T) {
	core, seen := observer.New(zapcore.WarnLevel)
	log := graveOnly(zap.New(core, zap.WithPanicHook(zapcore.WriteThenGoexit), zap.WithFatalHook(zapcore.WriteThenGoexit)))
	for _, say := range []func(){
		func() { log.Named("etcd").Error("closing") },
		func() { log.Named("kafka").Warn("slow") },
		func() { log.Named("kafka").With(zap.Int("n", 1)).Error("full") },
		func() { log.Named("etcd").With(zap.Int("n", 1)).Fatal("failed to commit") },
		func() { log.Named("etcd").Panic("failed to read") },
	} {
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			say()
		}()
		<-ended
	}
	var said []string
	for _, e := range seen.All() {
		said = append(said, e.Message)
	}
	if len(said) != 3 || said[0] != "full" || said[1] != "failed to commit" || said[2] != "failed to read" {
		t.Errorf("it told %q", said)
	}
}
