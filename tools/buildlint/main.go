// Command buildlint builds golangci-lint with only the linters that a configuration enables.
//
//	go run ./buildlint CONFIG OUTPUT
//
// The whole program has more than a hundred linters and takes minutes to compile; the configuration enables about a quarter of
// them. buildlint copies golangci-lint's sources, at the version of go.mod, takes the linters that are not enabled out of the
// file that registers them, and builds the copy. The linters that stay are the released ones.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/format"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

const module = "github.com/golangci/golangci-lint/v2"

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: buildlint CONFIG OUTPUT")
		os.Exit(2)
	}
	if err := run(os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, "buildlint:", err)
		os.Exit(1)
	}
}

func run(config, output string) error {
	enabled, err := enabledLinters(config)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "buildlint-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	source := filepath.Join(dir, "golangci-lint")
	if err := copyModule(source); err != nil {
		return err
	}
	registry := filepath.Join(source, "pkg", "lint", "lintersdb", "builder_linter.go")
	pruned, err := prune(registry, enabled)
	if err != nil {
		return fmt.Errorf("prune %s: %w", registry, err)
	}
	if err := os.WriteFile(registry, pruned, 0o600); err != nil {
		return err
	}
	modfile, err := replaceModule(dir, source)
	if err != nil {
		return err
	}
	build := exec.Command("go", "build", "-modfile", modfile, "-ldflags", "-s -w", "-o", output, module+"/cmd/golangci-lint")
	build.Stdout, build.Stderr = os.Stderr, os.Stderr
	return build.Run()
}

// copyModule copies golangci-lint's sources, at the version of go.mod, to dir.
func copyModule(dir string) error {
	download := exec.Command("go", "mod", "download", "-json", module)
	download.Stderr = os.Stderr
	out, err := download.Output()
	if err != nil {
		return fmt.Errorf("download %s: %w", module, err)
	}
	var m struct{ Dir string }
	if err := json.Unmarshal(out, &m); err != nil {
		return fmt.Errorf("download %s: %w", module, err)
	}
	// Folders of the module cache are read-only, and what os.CopyFS makes has the mode of its source, files but not folders.
	return os.CopyFS(dir, os.DirFS(m.Dir))
}

// replaceModule writes a go.mod like that of this folder, with golangci-lint's sources in dir, and returns its path.
func replaceModule(dir, sources string) (modfile string, err error) {
	mod, err := os.ReadFile("go.mod")
	if err != nil {
		return "", fmt.Errorf("run buildlint in the folder tools: %w", err)
	}
	sum, err := os.ReadFile("go.sum")
	if err != nil {
		return "", err
	}
	mod = fmt.Appendf(mod, "\nreplace %s => %s\n", module, sources)
	modfile = filepath.Join(dir, "go.mod")
	return modfile, errors.Join(os.WriteFile(modfile, mod, 0o600), os.WriteFile(filepath.Join(dir, "go.sum"), sum, 0o600))
}

func enabledLinters(config string) ([]string, error) {
	text, err := os.ReadFile(config)
	if err != nil {
		return nil, err
	}
	var c struct {
		Linters struct {
			Default string
			Enable  []string
		}
	}
	if err := yaml.Unmarshal(text, &c); err != nil {
		return nil, fmt.Errorf("read %s: %w", config, err)
	}
	if c.Linters.Default != "none" || len(c.Linters.Enable) == 0 {
		return nil, fmt.Errorf("read %s: want linters.default: none and a list in linters.enable", config)
	}
	return c.Linters.Enable, nil
}

// prune returns the source of the registry without the linters that are not enabled. A linter's package bears its name.
func prune(registry string, enabled []string) ([]byte, error) {
	fset := token.NewFileSet()
	file, err := parser.ParseFile(fset, registry, nil, parser.SkipObjectResolution) // comments would end up in other places
	if err != nil {
		return nil, err
	}
	left := slices.Clone(enabled)
	used := make(map[string]bool) // packages
	ast.Inspect(file, func(n ast.Node) bool {
		list, ok := n.(*ast.CompositeLit)
		if !ok {
			return true
		}
		list.Elts = slices.DeleteFunc(list.Elts, func(e ast.Expr) bool {
			name := linterPackage(e)
			if name == "" || name == "golinters" { // what reports code that does not compile is of golinters itself
				return false
			}
			left = slices.DeleteFunc(left, func(l string) bool { return l == name })
			return !slices.Contains(enabled, name)
		})
		return true
	})
	if len(left) > 0 {
		return nil, fmt.Errorf("no linter is registered from a package named %s", strings.Join(left, ", "))
	}
	ast.Inspect(file, func(n ast.Node) bool {
		if s, ok := n.(*ast.SelectorExpr); ok {
			if x, ok := s.X.(*ast.Ident); ok {
				used[x.Name] = true
			}
		}
		return true
	})
	for _, d := range file.Decls {
		if imports, ok := d.(*ast.GenDecl); ok && imports.Tok == token.IMPORT {
			imports.Specs = slices.DeleteFunc(imports.Specs, func(s ast.Spec) bool {
				p, err := strconv.Unquote(s.(*ast.ImportSpec).Path.Value)
				return err == nil && strings.Contains(p, "/golinters/") && !used[path.Base(p)]
			})
		}
	}
	var out strings.Builder
	if err := format.Node(&out, fset, file); err != nil {
		return nil, err
	}
	return []byte(out.String()), nil
}

// linterPackage returns the package p of linter.NewConfig(p.New(…)).With…(), and "" for any other expression.
func linterPackage(e ast.Expr) string {
	for {
		call, ok := e.(*ast.CallExpr)
		if !ok {
			return ""
		}
		fun, ok := call.Fun.(*ast.SelectorExpr)
		if !ok {
			return ""
		}
		if fun.Sel.Name != "NewConfig" {
			e = fun.X
			continue
		}
		if made, ok := call.Args[0].(*ast.CallExpr); ok {
			if constructor, ok := made.Fun.(*ast.SelectorExpr); ok {
				if p, ok := constructor.X.(*ast.Ident); ok {
					return p.Name
				}
			}
		}
		return ""
	}
}
