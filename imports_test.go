package tasktier

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

const module = "github.com/tasktier/tasktier"

// A pkg is what `go list -json` says of a package.
type pkg struct {
	ImportPath string
	Dir        string
	GoFiles    []string
	Imports    []string
	Standard   bool
}

func list(t *testing.T, args ...string) []pkg {
	t.Helper()
	cmd := exec.Command("go", append([]string{"list", "-json=ImportPath,Dir,GoFiles,Imports,Standard"}, args...)...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, stderr.String())
	}
	var pkgs []pkg
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var p pkg
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return pkgs
		} else if err != nil {
			t.Fatal(err)
		}
		pkgs = append(pkgs, p)
	}
}

// floors are the levels of the house, the top one first: a package may import from floors below its own only. The same
// map is drawn in docs/architecture.md.
var floors = [][]string{
	{"cmd/tasktier", "internal/testenv/cmd/testenv"},
	{"internal/embedded", "internal/testenv", ""},
	{"handler", "middleware", "middleware/metrics", "middleware/tracing", "schedule", "internal/upkeep"},
	{"consumer", "producer"},
	{"retry"},
	{"deadletter"},
	{"coord/limit"},
	{"claim", "coord", "coord/control", "deadletter/lock"},
	{"internal/outbox"},
	{"internal/topic", "internal/record", "config", "middleware/internal/outcome"},
	{"internal/tier", "internal/watermark", "internal/throttle", "internal/nap", "coord/lease", "schedule/cron"},
	{"internal/names"},
	{"task", "spec"},
}

func TestImportsPointDown(t *testing.T) {
	floor := make(map[string]int)
	for i, rooms := range floors {
		for _, room := range rooms {
			floor[strings.TrimSuffix(module+"/"+room, "/")] = i
		}
	}
	for _, p := range list(t, module+"/...") {
		if strings.HasPrefix(p.ImportPath, module+"/test") || strings.HasPrefix(p.ImportPath, module+"/examples") || strings.HasPrefix(p.ImportPath, module+"/internal/testenv/") {
			continue // they use the house, nobody in it uses them
		}
		from, ok := floor[p.ImportPath]
		if !ok {
			t.Errorf("%s stands on no floor: give it one in imports_test.go and docs/architecture.md", p.ImportPath)
			continue
		}
		for _, imported := range p.Imports {
			if to, ours := floor[imported]; ours && to <= from {
				t.Errorf("%s imports %s, which is not below it", p.ImportPath, imported)
			}
		}
	}
}

// TestLibrariesAreLight keeps heavy modules out of what users import: each list is all that may come along beside the
// standard library and tasktier itself.
func TestLibrariesAreLight(t *testing.T) {
	kafka := []string{"github.com/twmb/franz-go/", "github.com/klauspost/compress/", "github.com/pierrec/lz4/"}
	tests := []struct {
		room    string
		allowed []string
	}{
		{"task", nil},
		{"producer", kafka}, // no cron parser either: schedules are the nodes'
		{"schedule/cron", []string{"github.com/robfig/cron/v3"}},
		// Claims bring the client of Redis, and none of etcd: who lives is asked through an interface.
		{"consumer", append([]string{
			"go.uber.org/zap", "go.uber.org/multierr", "github.com/cenkalti/backoff/v4",
			"github.com/redis/go-redis/v9", "github.com/cespare/xxhash/v2", "go.uber.org/atomic", "golang.org/x/sys/cpu",
		}, kafka...)},
	}
	for _, tt := range tests {
		t.Run(tt.room, func(t *testing.T) {
			for _, p := range list(t, "-deps", module+"/"+tt.room) {
				if p.Standard || strings.HasPrefix(p.ImportPath, module+"/") || allowed(p.ImportPath, tt.allowed) {
					continue
				}
				t.Errorf("%s brings %s along", tt.room, p.ImportPath)
			}
		})
	}
}

func allowed(path string, prefixes []string) bool {
	for _, prefix := range prefixes {
		if strings.HasPrefix(path+"/", strings.TrimSuffix(prefix, "/")+"/") {
			return true
		}
	}
	return false
}

// An open transaction keeps every read-committed consumer of its topics from the records behind it, so nothing here
// writes in transactions: neither tasks nor retries nor dead letters. Services may; see TestTransactions in
// test/interop. Pitfall 32 of docs/pitfalls.md.
func TestNothingWritesInTransactions(t *testing.T) {
	for _, p := range list(t, module+"/...") {
		if strings.HasPrefix(p.ImportPath, module+"/test") {
			continue
		}
		for _, file := range p.GoFiles {
			source, err := os.ReadFile(filepath.Join(p.Dir, file))
			if err != nil {
				t.Fatal(err)
			}
			for _, word := range []string{"kgo.TransactionalID", "BeginTransaction", "GroupTransactSession"} {
				if bytes.Contains(source, []byte(word)) {
					t.Errorf("%s of %s has %s", file, p.ImportPath, word)
				}
			}
		}
	}
}
