package defects

import (
	"context"
	"fmt"
	"os"

	"github.com/tasktier/tasktier/test/history"
	"github.com/tasktier/tasktier/test/overlay"
)

// A Defect is a way in which the product could be wrong.
type Defect struct {
	Name string
	// Breaks says which rules of the checker see it; one of them is enough.
	Breaks []history.Rule
	// Report is a regular expression for what the simulation reports of the defect, within its first seeds; "" if a simulation
	// does not reveal it, but a scenario of test/storm.
	Report string
	// Shown says what reveals it within seconds: which load and which faults.
	Shown string
	// Packages are what the patches change, from the module's root.
	Packages []string
	Patches  []overlay.Patch
}

// All are the defects.
var All = []Defect{
	offsetBeforeHandler, offsetBeforeFinish, watermarkOfTheNewest, commitOnLost, lostResultCompletes,
	retryNotAwaited, letterNotAwaited, lanesDoNotWait, zombiesGoOn,
	stealFromTheLiving, finishWithoutCompare, doneRunsAgain, staleTurnsRun, fenceStands, crashCountsAsAttempt, innocentsArePoison,
	cancelForgotten,
	forwardEarly, forwardForgets, copiesAreCut, tombstoneFirst, slotForAll,
}

// Overlay writes the defect's overlay into dir, for go build and go test, and returns its path. More patches, such as those
// of a clock, may come along.
func (d Defect) Overlay(dir string, more ...overlay.Patch) (path string, err error) {
	path, err = overlay.Write(dir, append(more, d.Patches...)...)
	if err != nil {
		return "", fmt.Errorf("plant %q: %w", d.Name, err)
	}
	return path, nil
}

// Build builds the test binary of a package, such as "./test/storm", with the defect in it. What it writes beside the binary
// goes into the same folder. Flags are more of the go command's, such as build tags.
func (d Defect) Build(ctx context.Context, pkg, binary string, flags ...string) error {
	dir := binary + ".overlay"
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("plant %q: %w", d.Name, err)
	}
	file, err := d.Overlay(dir)
	if err != nil {
		return err
	}
	if err := overlay.Build(ctx, file, pkg, binary, flags...); err != nil {
		return fmt.Errorf("plant %q: %w", d.Name, err)
	}
	return nil
}

// Named finds a defect.
func Named(name string) (Defect, error) {
	for _, d := range All {
		if d.Name == name {
			return d, nil
		}
	}
	return Defect{}, fmt.Errorf("find defect %q: there is none of that name", name)
}
