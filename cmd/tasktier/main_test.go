package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/tasktier/tasktier/internal/testenv"
)

// TestMain lets scripts call this test binary as tasktier.
func TestMain(m *testing.M) {
	testenv.Parallel(4) // scripts wait for what they have started
	testscript.Main(m, map[string]func(){"tasktier": main})
}

// raceOptions spare a command that the race detector watches a second at its end: what it is to find happens before.
const raceOptions = "atexit_sleep_ms=0"

// TestScripts runs the scripts of testdata/script: the command as its users see it, each in a folder of its own.
func TestScripts(t *testing.T) {
	examples, err := os.ReadFile("../../examples/tasks.ndjson")
	if err != nil {
		t.Fatal(err)
	}
	dir, err := filepath.Abs("testdata/script") // commands change the folder
	if err != nil {
		t.Fatal(err)
	}
	inside := newInside(t, dir)
	testscript.Run(t, testscript.Params{
		Dir:                 dir,
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(env *testscript.Env) error {
			env.Setenv("TMPDIR", env.Getenv("WORK")+"/tmp")
			if err := os.Mkdir(env.Getenv("TMPDIR"), 0o755); err != nil && !os.IsExist(err) {
				return err
			}
			env.Setenv("GORACE", raceOptions)
			env.Values[processes{}] = map[string]*process{}
			return os.WriteFile(env.Getenv("WORK")+"/tasks.ndjson", examples, 0o644)
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"exits":    inside.exits,
			"start":    inside.start,
			"end":      finish,
			"signal":   signalTo,
			"await":    await,
			"adds-up":  addsUp,
			"alter":    alter,
			"commit":   commit,
			"forget":   forget,
			"publish":  publish,
			"wait-for": inside.waitFor,
			"port":     port,
			"without":  without,
			"etcd-put": etcdPut,
		},
	})
}
