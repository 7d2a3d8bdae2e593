package coord_test

import (
	"bufio"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/tasktier/tasktier/coord"
	"github.com/tasktier/tasktier/internal/testenv"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
)

// childVariable makes this binary, started again by a test, a process that is a member: "endpoint prefix".
const childVariable = "COORD_TEST_CHILD"

func TestMain(m *testing.M) {
	if where := os.Getenv(childVariable); where != "" {
		child(where)
	}
	testenv.Parallel(16) // they wait for leases to run out
	testenv.Main(m)
}

// child says "session ID" for each session that it opens, and "trusted true" or "trusted false", of the first one, for
// each line that it reads.
func child(where string) {
	var endpoint, prefix string
	if _, err := fmt.Sscan(where, &endpoint, &prefix); err != nil {
		panic(err)
	}
	client, err := clientv3.New(clientv3.Config{Endpoints: []string{endpoint}, Logger: zap.NewNop()})
	if err != nil {
		panic(err)
	}
	m, err := coord.New(coord.Config{Client: client, Prefix: prefix, TTL: ttl, Entry: coord.Entry{Name: "child"}})
	if err != nil {
		panic(err)
	}
	ctx := client.Ctx()
	go func() { _ = m.Run(ctx) }()
	first, err := m.Wait(ctx)
	if err != nil {
		panic(err)
	}
	fmt.Println("session", first.ID())
	go func() {
		for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
			fmt.Println("trusted", first.Trusted())
		}
		os.Exit(0) // the test is gone
	}()
	for last := first; ; {
		<-last.Done()
		if last, err = m.Wait(ctx); err != nil {
			panic(err)
		}
		fmt.Println("session", last.ID())
	}
}

const (
	ttl   = 2 * time.Second // the shortest there is
	trust = 1500 * time.Millisecond

	// Other tests share the machine, which then stands still for a second at a time: sessions that must last have this TTL,
	lasting      = 4 * time.Second
	lastingTrust = lasting * 4 / 5
	// and what must happen soon has that much longer.
	slack = 5 * time.Second
)
