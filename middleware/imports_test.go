package middleware_test

import (
	"go/parser"
	"go/token"
	"path/filepath"
	"strings"
	"testing"
)

// Who wants logging only must not pay for metrics and tracing, nor those for each other.
func TestPackagesImportNoMoreThanTheirOwn(t *testing.T) {
	for folder, forbidden := range map[string][]string{
		".":                {"github.com/prometheus/", "go.opentelemetry.io/", "/middleware/metrics", "/middleware/tracing"},
		"internal/outcome": {"github.com/prometheus/", "go.opentelemetry.io/", "go.uber.org/zap"},
		"metrics":          {"go.opentelemetry.io/", "go.uber.org/zap", "/tasktier/middleware\""},
		"tracing":          {"github.com/prometheus/", "go.uber.org/zap", "/tasktier/middleware\"", "go.opentelemetry.io/otel/sdk"},
	} {
		files, err := filepath.Glob(filepath.Join(folder, "*.go"))
		if err != nil || len(files) == 0 {
			t.Fatalf("no files in %s (%v)", folder, err)
		}
		for _, name := range files {
			if strings.HasSuffix(name, "_test.go") {
				continue
			}
			f, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ImportsOnly)
			if err != nil {
				t.Fatal(err)
			}
			for _, i := range f.Imports {
				for _, bad := range forbidden {
					if strings.Contains(i.Path.Value, bad) {
						t.Errorf("%s imports %s", name, i.Path.Value)
					}
				}
			}
		}
	}
}
