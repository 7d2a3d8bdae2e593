package history

import (
	"testing"

	"github.com/tasktier/tasktier/internal/testenv"
)

func TestMain(m *testing.M) { testenv.Main(m) }
