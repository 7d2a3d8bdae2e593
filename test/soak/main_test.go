package soak

import (
	"fmt"
	"os"
	"testing"

	"github.com/tasktier/tasktier/internal/testenv"
)

// TestMain turns the test binary into a node where the test asks for one.
func TestMain(m *testing.M) {
	if os.Getenv(asNode) != "" {
		if err := beNode(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	testenv.Main(m)
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
