package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestRun(t *testing.T) {
	const sent = `1000000 sent queue=q source=/s id=x plan={"type":"work"}
1001000 acknowledged queue=q source=/s id=x
`
	const done = `2000000 started queue=q source=/s id=x turn=1 attempt=1
3000000 ended queue=q source=/s id=x turn=1 attempt=1 outcome=succeeded
`
	for name, c := range map[string]struct {
		history    string
		args       []string
		code       int
		says, errs string
	}{
		"lawful":      {sent + done, nil, 0, "no violation", ""},
		"not lawful":  {sent, nil, 1, "nothing is lost: q:/s/x: it did not end", ""},
		"no history":  {"x\n" + sent, nil, 2, "", "not an event"},
		"no folder":   {sent, []string{"--lease", "6s"}, 0, "", ""},
		"a bad flag":  {sent, []string{"--leash", "6s"}, 2, "", "usage"},
		"two folders": {sent, []string{"here"}, 2, "", "usage"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, "p.events"), []byte(c.history), 0o600); err != nil {
				t.Fatal(err)
			}
			var out, errs strings.Builder
			args := append(c.args, dir)
			if name == "no folder" {
				args, c.code, c.errs = c.args, 2, "usage"
			}
			if code := run(args, &out, &errs); code != c.code || !strings.Contains(out.String(), c.says) || !strings.Contains(errs.String(), c.errs) {
				t.Errorf("exit code %d, want %d\n%s\n%s", code, c.code, out.String(), errs.String())
			}
		})
	}
}
