package defects_test

import (
	"encoding/json"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/tasktier/tasktier/test/defects"
	"github.com/tasktier/tasktier/test/overlay"
)

// TestDefectsFit plants each defect in the source as it is.
func TestDefectsFit(t *testing.T) {
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
			for source, patched := range replaced(t, file) {
				if _, err := parser.ParseFile(token.NewFileSet(), patched, nil, parser.SkipObjectResolution); err != nil {
					t.Errorf("%s: %v", source, err)
				}
			}
		})
	}
}

// replaced are the files of an overlay.
func replaced(t *testing.T, file string) map[string]string {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var o struct{ Replace map[string]string }
	if err := json.Unmarshal(data, &o); err != nil {
		t.Fatal(err)
	}
	return o.Replace
}

// TestDefectsCompile compiles what the defects change: as many of them at a time as get along.
func TestDefectsCompile(t *testing.T) {
	if testing.Short() {
		t.Skip("compiles much of the product several times: ./check long runs it")
	}
	for left := defects.All; len(left) > 0; {
		var together, rest []defects.Defect
		var patches []overlay.Patch
		for _, d := range left {
			if _, err := d.Overlay(t.TempDir(), patches...); err != nil {
				rest = append(rest, d)
				continue
			}
			together, patches = append(together, d), append(patches, d.Patches...)
		}
		if len(together) == 0 {
			t.Fatalf("%q does not fit: see TestDefectsFit", left[0].Name)
		}
		if _, err := compile(t, together...); err != nil { // which of them is it?
			for _, d := range together {
				if out, err := compile(t, d); err != nil {
					t.Errorf("%s does not compile: %v\n%s", d.Name, err, out)
				}
			}
		}
		left = rest
	}
}

// compile builds the packages that defects change.
func compile(t *testing.T, planted ...defects.Defect) (out []byte, err error) {
	t.Helper()
	root, err := overlay.Module()
	if err != nil {
		t.Fatal(err)
	}
	var patches []overlay.Patch
	packages := make(map[string]bool)
	for _, d := range planted {
		patches = append(patches, d.Patches...)
		for _, p := range d.Packages {
			packages["./"+p] = true
		}
	}
	file, err := overlay.Write(t.TempDir(), patches...)
	if err != nil {
		t.Fatal(err)
	}
	build := exec.CommandContext(t.Context(), "go", append([]string{"build", "-overlay", file}, slices.Sorted(maps.Keys(packages))...)...)
	build.Dir = root
	return build.CombinedOutput()
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
