package claim

import (
	"testing"

	"github.com/tasktier/tasktier/internal/testenv"
)

func TestMain(m *testing.M) {
	testenv.Parallel(8) // they wait for Redis, and for what a node does from time to time
	testenv.Main(m)
}
