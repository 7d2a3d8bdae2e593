package nemesis

import (
	"context"
	_ "embed" // the source that is added to package time
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/tasktier/tasktier/test/overlay"
)

// A Clock is the wall clock of one process, or of all lives of one, and can be wrong. The process has to be built with
// [ClockPatches] and started with Env. It reads how wrong its clock is from memory that it shares with a file, at each
// time.Now, so a step is felt at once. Timers and the monotonic part of times go on as they were, as they do when an
// operator or NTP steps the clock of a machine.
type Clock struct{ path string }

// clockVariable names the file in the environment of the process.
const clockVariable = "TASKTIER_TEST_CLOCK"

// NewClock makes a clock that is right. Its file is path.
func NewClock(path string) (*Clock, error) {
	c := &Clock{path}
	if err := os.WriteFile(path, make([]byte, 8), 0o600); err != nil {
		return nil, fmt.Errorf("make clock: %w", err)
	}
	return c, nil
}

// Env is what the process needs in its environment.
func (c *Clock) Env() string { return clockVariable + "=" + c.path }

// Step sets the clock so far ahead of the right time; less than nothing is behind, nothing is right.
func (c *Clock) Step(ahead time.Duration) error {
	file, err := os.OpenFile(c.path, os.O_WRONLY, 0) // it stays the same file: the process has it mapped
	if err != nil {
		return fmt.Errorf("step clock: %w", err)
	}
	defer file.Close()
	if _, err := file.WriteAt(binary.NativeEndian.AppendUint64(nil, uint64(ahead)), 0); err != nil {
		return fmt.Errorf("step clock: %w", err)
	}
	return nil
}

// Stepped is a fault of the target's clock: it is set so far ahead, or behind, and back again.
//
// What a task is to wait for counts from the clock of the node that puts it off: an hour ahead makes retries an hour late
// for everybody else, also when the clock is right again.
func (c *Clock) Stepped(target string, ahead time.Duration, lasts Span) Fault {
	return Fault{
		Name: fmt.Sprintf("clock is %s ahead", ahead), Target: target + " clock", Class: ClockClass, Lasts: lasts,
		Excuse: Stepped, Step: ahead,
		Hit: func(context.Context) (Wound, error) {
			if err := c.Step(ahead); err != nil {
				return Wound{}, err
			}
			return Wound{Whom: target, Mend: func(context.Context) error { return c.Step(0) }}, nil
		},
	}
}

//go:embed clock_source.txt
var clockSource string

// ClockPatches are what makes a program's clock one that can be wrong, for [overlay.Write]: a change of package time in the
// toolchain that is used. They are an error when that package is not what it was.
func ClockPatches() ([]overlay.Patch, error) {
	out, err := exec.Command("go", "env", "GOROOT").Output() //nolint:noctx // it takes no time
	if err != nil {
		return nil, fmt.Errorf("find sources of package time: %w", err)
	}
	folder := filepath.Join(strings.TrimSpace(string(out)), "src", "time")
	return []overlay.Patch{
		{
			File: filepath.Join(folder, "time.go"),
			Old:  "func Now() Time {\n\tsec, nsec, mono := runtimeNow()\n\tif mono == 0 {",
			New:  "func Now() Time {\n\tsec, nsec, mono := runtimeNow()\n\tsec, nsec = tasktierStep(sec, nsec)\n\tif mono == 0 {",
		},
		{
			File: filepath.Join(folder, "tasktier_step.go"),
			New:  strings.ReplaceAll(clockSource, "CLOCK_VARIABLE", clockVariable),
		},
	}, nil
}
