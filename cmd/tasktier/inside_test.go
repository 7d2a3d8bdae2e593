package main

import (
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// An inside runs commands of scripts in the process of the tests, which takes a tenth of the time that a process takes to
// start under the race detector. A process has one folder and one environment: the command has them to itself.
type inside struct {
	environment []string // of the tests
	variables   []string // that a script may set

	mu sync.Mutex
}

var setsVariable = regexp.MustCompile(`(?m)^(?:env|port) (\w+)`)

// newInside reads from the scripts of a folder which variables they set.
func newInside(t *testing.T, dir string) *inside {
	t.Helper()
	in := &inside{environment: os.Environ(), variables: []string{"HOME", "TMPDIR"}}
	scripts, err := filepath.Glob(dir + "/*.txt")
	if err != nil || len(scripts) == 0 {
		t.Fatalf("%d scripts: %v", len(scripts), err)
	}
	for _, path := range scripts {
		script, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, set := range setsVariable.FindAllSubmatch(script, -1) {
			in.variables = append(in.variables, string(set[1]))
		}
	}
	slices.Sort(in.variables)
	in.variables = slices.Compact(in.variables)
	return in
}

// exits CODE ARGS… runs tasktier and wants its exit code to be just that.
func (in *inside) exits(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) == 0 {
		ts.Fatalf("usage: exits CODE [ARG...]")
	}
	var code int
	if takesLong(args[1:]) {
		code = execute(ts, args[1:])
	} else {
		code = in.run(ts, args[1:], ts.Stdout(), ts.Stderr())
	}
	if want := args[0]; strconv.Itoa(code) != want {
		ts.Fatalf("exit code %d, want %s", code, want)
	}
}

// takesLong reports whether a command needs a process of its own: nodes, what waits for tasks, and what reads stdin or
// sends a whole file.
func takesLong(args []string) bool {
	return slices.ContainsFunc(args, func(arg string) bool {
		return slices.Contains([]string{"dev", "run", "wait", "--wait", "--file", "-"}, arg)
	})
}

func execute(ts *testscript.TestScript, args []string) int {
	err := ts.Exec("tasktier", args...)
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		ts.Fatalf("%v", err)
	}
	if exit != nil {
		return exit.ExitCode()
	}
	return 0
}

// run runs a command in the script's folder and environment.
func (in *inside) run(ts *testscript.TestScript, args []string, stdout, stderr io.Writer) int {
	in.mu.Lock()
	defer in.mu.Unlock()
	home, err := os.Getwd()
	ts.Check(err)
	ts.Check(os.Chdir(ts.MkAbs(".")))
	defer func() { ts.Check(os.Chdir(home)) }()
	for _, name := range in.variables {
		before, was := os.LookupEnv(name)
		if value := ts.Getenv(name); value != "" {
			ts.Check(os.Setenv(name, value))
		} else {
			ts.Check(os.Unsetenv(name))
		}
		defer func() {
			if was {
				ts.Check(os.Setenv(name, before))
			} else {
				ts.Check(os.Unsetenv(name))
			}
		}()
	}
	return run(context.Background(), args, strings.NewReader(""), stdout, stderr)
}
