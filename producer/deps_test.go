package producer_test

import (
	"os/exec"
	"strings"
	"testing"
)

// A service that only publishes must not pay for what nodes need: no etcd, no Redis.
func TestDependencies(t *testing.T) {
	const module = "github.com/tasktier/tasktier/"
	allowed := []string{
		"producer", "task", "internal/record", "internal/names", "internal/tier",
		"github.com/twmb/franz-go/pkg/kgo", "github.com/twmb/franz-go/pkg/kmsg", "github.com/twmb/franz-go/pkg/kbin",
		"github.com/twmb/franz-go/pkg/kerr", "github.com/twmb/franz-go/pkg/kversion", "github.com/twmb/franz-go/pkg/sasl",
		"github.com/klauspost/compress", "github.com/pierrec/lz4/v4",
	}
	out, err := exec.Command("go", "list", "-deps", "-f", "{{if not .Standard}}{{.ImportPath}}{{end}}",
		module+"producer", module+"task", module+"internal/record", module+"internal/names").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	deps := strings.Fields(string(out))
	if len(deps) < 10 {
		t.Fatalf("go list names only %v", deps)
	}
next:
	for _, dep := range deps {
		for _, a := range allowed {
			if rest, ok := strings.CutPrefix(dep, a); ok && (rest == "" || rest[0] == '/') || dep == module+a {
				continue next
			}
		}
		if strings.HasPrefix(dep, "github.com/twmb/franz-go/pkg/kgo/internal") {
			continue
		}
		t.Errorf("publishing needs %s", dep)
	}

	out, err = exec.Command("go", "list", "-deps", "-f", "{{if not .Standard}}{{.ImportPath}}{{end}}", module+"task", module+"internal/names").Output()
	if err != nil || len(strings.Fields(string(out))) != 2 {
		t.Errorf("task and names need more than the standard library: %s (%v)", out, err)
	}
}
