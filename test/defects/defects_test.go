package defects_test

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/tasktier/tasktier/test/defects"
	"github.com/tasktier/tasktier/test/overlay"
)

// TestDefectsFit plants each defect in the source as it is, and compiles what it changes.
func TestDefectsFit(t *testing.T) {
	root, err := overlay.Module()
	if err != nil {
		t.Fatal(err)
	}
	names := make(map[string]bool)
	for _, d := range defects.All {
		t.Run(d.Name, func(t *testing.T) {
			if names[d.Name] {
				t.Error("another one has that name")
			}
			names[d.Name] = true
			if len(d.Breaks) == 0 || d.Shown == "" || len(d.Packages) == 0 {
				t.Error("it does not say what it breaks, what reveals it, or where it is")
			}
			for _, p := range d.Patches {
				if !strings.HasSuffix(p.File, ".go") || strings.HasSuffix(p.File, "_test.go") {
					t.Errorf("it is not in the product's source but in %s", p.File)
				}
			}
			file, err := d.Overlay(t.TempDir())
			if err != nil {
				t.Fatal(err)
			}
			args := []string{"build", "-overlay", file}
			for _, p := range d.Packages {
				args = append(args, "./"+p)
			}
			build := exec.CommandContext(t.Context(), "go", args...)
			build.Dir = root
			if out, err := build.CombinedOutput(); err != nil {
				t.Errorf("it does not compile: %v\n%s", err, out)
			}
		})
	}
}

func TestNamed(t *testing.T) {
	for _, d := range defects.All {
		if got, err := defects.Named(d.Name); err != nil || got.Name != d.Name {
			t.Errorf("%q is %q (%v)", d.Name, got.Name, err)
		}
	}
	if _, err := defects.Named("perfect"); err == nil {
		t.Error("a defect was found that is none")
	}
}
