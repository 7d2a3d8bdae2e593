package topic

import (
	"context"

	"github.com/twmb/franz-go/pkg/kadm"
)

// Ensure makes sure that a node can use the topics: nil when they are all there and safe, and those it created have
// leaders. It creates those that are missing if create is set, and never alters one that is there.
//
// It fails with an [*UnsafeError] if work could be lost, a [*MissingError] if topics are missing and create is not set,
// and an [*AccessError] if Kafka forbids to look or to create. Nothing is created beside an unsafe topic.
func Ensure(ctx context.Context, adm *kadm.Client, specs []Spec, create bool) error {
	plan, err := Inspect(ctx, adm, specs)
	if err != nil {
		return err
	}
	if unsafe := plan.Unsafe(); len(unsafe) > 0 {
		return &UnsafeError{unsafe}
	}
	missing := plan.Missing()
	switch {
	case len(missing) == 0:
		return nil
	case !create:
		return &MissingError{missing}
	}
	if err := plan.create(ctx, adm); err != nil {
		return err
	}
	created := make([]string, len(missing))
	for i, t := range missing {
		created[i] = t.Spec.Name
	}
	if plan, err = settle(ctx, adm, specs, created); err != nil {
		return err
	}
	if unsafe := plan.Unsafe(); len(unsafe) > 0 { // another was faster, and made it otherwise
		return &UnsafeError{unsafe}
	}
	return nil
}
