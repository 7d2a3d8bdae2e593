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
	testenv.Main(m)
}
