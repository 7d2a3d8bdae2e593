package overlay_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tasktier/tasktier/test/overlay"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// greet is a program of its own module.
func greet(t *testing.T) (dir string) {
	t.Helper()
	dir = t.TempDir()
	must(t, os.WriteFile(filepath.Join(dir, "go.mod"), []byte("module greet\n\ngo 1.26\n"), 0o600))
	must(t, os.WriteFile(filepath.Join(dir, "main.go"), []byte("package main\n\nfunc main() { print(word, \"\\n\") }\n\nvar word = \"hello\"\n"), 0o600))
	return dir
}

func TestPatchedProgram(t *testing.T) {
	dir := greet(t)
	file, err := overlay.Write(t.TempDir(),
		overlay.Patch{File: filepath.Join(dir, "main.go"), Old: `"hello"`, New: `more()`},
		overlay.Patch{File: filepath.Join(dir, "main.go"), Old: `func main`, New: "// patched twice\nfunc main"},
		overlay.Patch{File: filepath.Join(dir, "more.go"), New: "package main\n\nfunc more() string { return \"farewell\" }\n"},
	)
	must(t, err)
	cmd := exec.CommandContext(t.Context(), "go", "run", "-overlay", file, ".")
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if err != nil || string(out) != "farewell\n" {
		t.Errorf("the patched program says %q (%v)", out, err)
	}
}

func TestPatchThatDoesNotFit(t *testing.T) {
	main := filepath.Join(greet(t), "main.go")
	for name, p := range map[string]overlay.Patch{
		"not there":     {File: main, Old: "bonjour", New: "hello"},
		"there twice":   {File: main, Old: "main", New: "hello"},
		"already there": {File: main, New: "package main"},
		"no file":       {File: main + "x", Old: "hello", New: "hallo"},
	} {
		if _, err := overlay.Write(t.TempDir(), p); err == nil || !strings.Contains(err.Error(), p.File) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestBuildSaysWhatIsWrong(t *testing.T) {
	dir := t.TempDir()
	file, err := overlay.Write(dir, overlay.Patch{File: "internal/nap/broken.go", New: "package nap\n\nvar x int = \"\"\n"})
	must(t, err)
	err = overlay.Build(context.Background(), file, "./internal/nap", filepath.Join(dir, "test"))
	if err == nil || !strings.Contains(err.Error(), "broken.go") {
		t.Errorf("a source that does not compile was built: %v", err)
	}
}
