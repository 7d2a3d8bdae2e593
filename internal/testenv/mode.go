package testenv

import (
	"fmt"
	"os"
	"testing"
)

const (
	stackVariable = "TASKTIER_TEST_STACK"
	stackEmbedded = "embedded"
)

// needReal skips the test where a person asked to do without real servers.
func needReal(t testing.TB, server string) {
	t.Helper()
	embedded, err := embeddedOnly(os.Getenv(stackVariable))
	if err != nil {
		t.Fatal(err)
	}
	if embedded {
		t.Skipf("needs a real %s, and %s=%s asks to leave such tests out", server, stackVariable, stackEmbedded)
	}
}

func embeddedOnly(value string) (bool, error) {
	switch value {
	case "", "real":
		return false, nil
	case stackEmbedded:
		return true, nil
	}
	return false, fmt.Errorf("read %s: %q is neither real (the default) nor %s", stackVariable, value, stackEmbedded)
}
