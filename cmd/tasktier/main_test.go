package main

import (
	"os"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestMain lets scripts call this test binary as tasktier.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"tasktier": main})
}

// TestScripts runs the scripts of testdata/script: the command as its users see it, each in a folder of its own.
func TestScripts(t *testing.T) {
	examples, err := os.ReadFile("../../examples/tasks.ndjson")
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(env *testscript.Env) error {
			env.Setenv("TMPDIR", env.Getenv("WORK")+"/tmp")
			if err := os.Mkdir(env.Getenv("TMPDIR"), 0o755); err != nil && !os.IsExist(err) {
				return err
			}
			env.Values[processes{}] = map[string]*process{}
			return os.WriteFile(env.Getenv("WORK")+"/tasks.ndjson", examples, 0o644)
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"exits":    exits,
			"start":    start,
			"end":      finish,
			"signal":   signalTo,
			"await":    await,
			"adds-up":  addsUp,
			"alter":    alter,
			"commit":   commit,
			"forget":   forget,
			"publish":  publish,
			"wait-for": waitFor,
			"port":     port,
			"without":  without,
			"etcd-put": etcdPut,
		},
	})
}
