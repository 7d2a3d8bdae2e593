package limit_test

import (
	"os"
	"testing"

	"github.com/tasktier/tasktier/internal/testenv"
)

func TestMain(m *testing.M) {
	if told := os.Getenv(childVariable); told != "" {
		child(told)
		return
	}
	testenv.Parallel(8) // they wait for leases to run out
	testenv.Main(m)
}
