package topic

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
)

// Foreign names the consumer groups other than own that have committed offsets on the topic: they read what tasktier
// trims behind its own group's back. Groups that the user may not see are not named.
func Foreign(ctx context.Context, adm *kadm.Client, topic, own string) ([]string, error) {
	listed, err := adm.ListGroups(ctx)
	if err != nil {
		return nil, fmt.Errorf("list consumer groups: %w", err)
	}
	var others []string
	for name, g := range listed {
		// Connect's workers and the like form groups too, but commit nothing; share groups can't be asked this way.
		if name != own && (g.ProtocolType == "consumer" || g.ProtocolType == "") {
			others = append(others, name)
		}
	}
	slices.Sort(others)
	offsets := adm.FetchManyOffsets(ctx, others...)
	var foreign []string
	for _, name := range others {
		r := offsets[name]
		if errors.Is(r.Err, kerr.GroupIDNotFound) {
			continue // deleted meanwhile
		}
		if r.Err != nil {
			return nil, fmt.Errorf("read the offsets of group %s: %w", name, r.Err)
		}
		for _, o := range r.Fetched[topic] {
			if o.At >= 0 {
				foreign = append(foreign, name)
				break
			}
		}
	}
	return foreign, nil
}
