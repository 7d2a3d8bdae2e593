package storm

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"testing"

	"github.com/tasktier/tasktier/internal/testenv"
)

// asCrew makes the test's binary one of the crew: its value is the orders, in JSON.
const asCrew = "TASKTIER_TEST_STORM"

// roles are what a process of the crew can be.
var roles = map[string]func(orders) error{
	nodeRole: beNode, producerRole: beProducer, cancelerRole: beCanceler, replayerRole: beReplayer,
}

func TestMain(m *testing.M) {
	if text := os.Getenv(asCrew); text != "" {
		if err := follow(text); err != nil {
			fmt.Fprintln(os.Stderr, err)
			if errors.Is(err, errNotBegun) {
				os.Exit(notBegun)
			}
			os.Exit(1)
		}
		os.Exit(0)
	}
	testenv.Main(m)
}

func follow(text string) error {
	var o orders
	if err := json.Unmarshal([]byte(text), &o); err != nil {
		return fmt.Errorf("read orders: %w", err)
	}
	role := roles[o.Role]
	if role == nil {
		return fmt.Errorf("read orders: %q is no role", o.Role)
	}
	return role(o)
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
