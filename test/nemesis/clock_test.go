package nemesis_test

import (
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/tasktier/tasktier/test/nemesis"
	"github.com/tasktier/tasktier/test/overlay"
)

// TestSteppedClock asks a process whose clock is set ahead and back.
func TestSteppedClock(t *testing.T) {
	if testing.Short() {
		t.Skip("compiles a program and the library that it uses for another clock: ./check long runs it")
	}
	t.Parallel()
	dir := t.TempDir()
	patches, err := nemesis.ClockPatches()
	must(t, err)
	file, err := overlay.Write(dir, patches...)
	must(t, err)
	binary := filepath.Join(dir, "stepped")
	must(t, overlay.Build(t.Context(), file, "./test/nemesis/internal/stepped", binary))
	clock, err := nemesis.NewClock(filepath.Join(dir, "clock"))
	must(t, err)

	cmd := exec.CommandContext(t.Context(), binary)
	cmd.Env = append(os.Environ(), clock.Env())
	cmd.Stderr = os.Stderr
	ask, err := cmd.StdinPipe()
	must(t, err)
	answers, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	defer func() {
		must(t, ask.Close())
		must(t, cmd.Wait())
	}()
	answer := json.NewDecoder(answers)
	for _, ahead := range []time.Duration{0, time.Hour, -time.Hour, 1500 * time.Millisecond, -1500 * time.Millisecond, 0} {
		wound, err := clock.Stepped("it", ahead, nemesis.Span{}).Hit(t.Context())
		must(t, err)
		before := time.Now()
		_, err = io.WriteString(ask, "now\n")
		must(t, err)
		var r struct {
			Wall, Real       time.Time
			Written          time.Time
			Monotonic, Timer time.Duration
			Past             bool
		}
		must(t, answer.Decode(&r))
		took := time.Since(before)
		if wrong := r.Wall.Sub(r.Real) - ahead; wrong < -time.Millisecond || wrong > took {
			t.Errorf("%s ahead, the clock shows %s, %s after the real time", ahead, r.Wall, r.Wall.Sub(r.Real))
		}
		if r.Real.Before(before.Truncate(time.Microsecond)) || r.Real.After(before.Add(took)) {
			t.Errorf("%s ahead, the real time is said to be %s, not between %s and %s later", ahead, r.Real, before, took)
		}
		if r.Written.Before(r.Real) || r.Written.After(before.Add(took)) {
			t.Errorf("%s ahead, a history says that it is %s, and it is %s", ahead, r.Written, r.Real)
		}
		if r.Timer < 20*time.Millisecond || r.Timer > took || r.Monotonic < 0 || r.Monotonic > time.Hour || r.Past {
			t.Errorf("%s ahead, the step is felt by what is monotonic: %+v", ahead, r)
		}
		must(t, wound.Mend(t.Context()))
	}
}
