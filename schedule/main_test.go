package schedule

import (
	"testing"

	"github.com/tasktier/tasktier/internal/testenv"
)

func TestMain(m *testing.M) {
	testenv.Parallel(8) // they wait for ticks
	testenv.Main(m)
}
