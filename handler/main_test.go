//go:build unix

package handler

import (
	"os"
	"testing"

	"go.uber.org/goleak"
)

// childVariable makes the test binary be a command for Exec to run, instead of the tests.
const childVariable = "HANDLER_TEST_CHILD"

func TestMain(m *testing.M) {
	if os.Getenv(childVariable) != "" {
		beChild(os.Args[1], os.Args[2:])
	}
	goleak.VerifyTestMain(m)
}
