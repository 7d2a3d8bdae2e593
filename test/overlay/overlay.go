// Package overlay builds a program from sources that differ in a few places, which nobody sees who builds it otherwise: no
// build tag and no hook is in the code.
//
// A [Patch] is an exact piece of text and what stands there instead. A text that is not there, or more than once, is an
// error: a list of patches can't go on silently when the code has moved on. [Write] makes the file that the go command takes
// with -overlay, [Build] a test binary by it.
package overlay

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
)

// A Patch replaces one piece of a source file. With no Old, New is the whole of a file that is not there otherwise.
type Patch struct {
	File     string // absolute, or of this module, from its root
	Old, New string
}

// Write applies the patches, of which several may be to one file, one after the other. It puts the patched files into dir,
// and beside them the overlay, whose path it returns.
func Write(dir string, patches ...Patch) (path string, err error) {
	root, err := Module()
	if err != nil {
		return "", err
	}
	texts := make(map[string]string)
	for _, p := range patches {
		if !filepath.IsAbs(p.File) {
			p.File = filepath.Join(root, p.File)
		}
		text, patched := texts[p.File]
		if !patched {
			if text, err = read(p); err != nil {
				return "", fmt.Errorf("patch %s: %w", p.File, err)
			}
		}
		if texts[p.File], err = apply(text, p); err != nil {
			return "", fmt.Errorf("patch %s: %w", p.File, err)
		}
	}
	var o struct{ Replace map[string]string }
	o.Replace = make(map[string]string)
	for file, text := range texts {
		// Its own name is in what the compiler says.
		to := filepath.Join(dir, fmt.Sprint(len(o.Replace)), filepath.Base(file))
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			return "", fmt.Errorf("write overlay: %w", err)
		}
		if err := os.WriteFile(to, []byte(text), 0o600); err != nil {
			return "", fmt.Errorf("write overlay: %w", err)
		}
		o.Replace[file] = to
	}
	data, err := json.MarshalIndent(o, "", "\t")
	if err != nil {
		return "", fmt.Errorf("write overlay: %w", err)
	}
	path = filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		return "", fmt.Errorf("write overlay: %w", err)
	}
	return path, nil
}

// read is the file before the first patch.
func read(p Patch) (string, error) {
	text, err := os.ReadFile(p.File)
	if errors.Is(err, os.ErrNotExist) && p.Old == "" {
		return "", nil
	}
	return string(text), err
}

func apply(text string, p Patch) (string, error) {
	if p.Old == "" {
		if text != "" {
			return "", errors.New("the file that it is to add is there already")
		}
		return p.New, nil
	}
	if n := strings.Count(text, p.Old); n != 1 {
		return "", fmt.Errorf("its text is there %d times, not once; the source has changed, so look what has become of:\n%s", n, p.Old)
	}
	return strings.Replace(text, p.Old, p.New, 1), nil
}

// Module is the root folder of this module's sources.
func Module() (string, error) { return module() }

// module asks the go command once.
var module = sync.OnceValues(func() (string, error) {
	out, err := exec.Command("go", "env", "GOMOD").Output()
	if err != nil {
		return "", fmt.Errorf("find module: %w", err)
	}
	file := strings.TrimSpace(string(out))
	if filepath.Base(file) != "go.mod" {
		return "", fmt.Errorf("find module: the folder is in none (%q)", file)
	}
	return filepath.Dir(file), nil
})

// Build builds the test binary of a package, such as "./test/storm" from the module's root, with an overlay. Flags are more of
// the go command's, such as build tags.
func Build(ctx context.Context, overlay, pkg, binary string, flags ...string) error {
	root, err := Module()
	if err != nil {
		return err
	}
	// Without symbols and debugging information, which panics do not need, it is linked in two thirds of the time.
	args := append([]string{"test", "-c", "-vet=off", "-ldflags=-s -w", "-overlay", overlay, "-o", binary}, flags...)
	cmd := exec.CommandContext(ctx, "go", append(args, pkg)...)
	cmd.Dir = root
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build %s with %s: %w:\n%s", pkg, overlay, err, out)
	}
	return nil
}
