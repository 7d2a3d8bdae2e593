package nemesis_test

import (
	"flag"
	"testing"

	"github.com/tasktier/tasktier/internal/testenv"
)

// TestMain lets more tests run at a time than there are processors: they wait for servers to start, fail and return.
func TestMain(m *testing.M) {
	if err := flag.Set("test.parallel", "4"); err != nil {
		panic(err)
	}
	testenv.Main(m)
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
