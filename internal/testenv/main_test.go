package testenv_test

import (
	"fmt"
	"os"
	"testing"

	"github.com/tasktier/tasktier/internal/testenv"
)

// childVariable makes this binary, started again by a test, a process that runs
// a server and then waits to be killed.
const childVariable = "TESTENV_TEST_CHILD"

func TestMain(m *testing.M) {
	if os.Getenv(childVariable) != "" {
		child()
	}
	testenv.Main(m)
}

func child() {
	stack, err := testenv.Up()
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println(stack.Redis.Addr(), stack.Etcd.Endpoint(), stack.Kafka.Addr())
	select {}
}
