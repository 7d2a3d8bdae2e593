package upkeep

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/tasktier/tasktier/coord"
	"github.com/twmb/franz-go/pkg/kadm"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// etcdPatience bounds one call to etcd, so that there is time for the rest of a round while etcd is away.
const etcdPatience = 5 * time.Second

// mirrorVersion is the format that this code writes, and the only one that it reads.
const mirrorVersion = 1

// A mirror is what etcd remembers of a reader's committed offsets.
type mirror struct {
	Version int                     `json:"version"`
	Topics  map[string]topicOffsets `json:"topics"`
}

// topicOffsets are those of one topic.
type topicOffsets struct {
	// ID is the topic's, in base64: one that is created anew under the same name has another.
	ID string `json:"id"`
	// Offsets are the committed ones by the number of the partition. -1: none was.
	Offsets []int64 `json:"offsets"`
}

// of is the offset of a partition of the topic with that id; unknown if there is none.
func (m mirror) of(topic string, id kadm.TopicID, partition int32) int64 {
	t := m.Topics[topic]
	if id == (kadm.TopicID{}) || t.ID != id.String() || int(partition) >= len(t.Offsets) {
		return unknown
	}
	return t.Offsets[partition]
}

// follow is m with what a survey found to be committed, and whether that differs. Where nothing is committed it keeps what
// it has; what it has of another topic with that name goes. The survey must have begun after m was read: then an offset
// that is lower than m's was set back by somebody, and m follows.
func (m mirror) follow(s survey) (mirror, bool) {
	next, changed := mirror{mirrorVersion, make(map[string]topicOffsets, len(s.ids))}, false
	for topic, id := range s.ids {
		if id == (kadm.TopicID{}) {
			continue // nobody could tell whether it is still the same topic
		}
		old, t := m.Topics[topic], topicOffsets{ID: id.String()}
		if old.ID == t.ID {
			t.Offsets = slices.Clone(old.Offsets)
		}
		for _, p := range s.partitions {
			if p.topic != topic {
				continue
			}
			for len(t.Offsets) <= int(p.number) {
				t.Offsets = append(t.Offsets, unknown)
			}
			if at := p.done(); at != unknown {
				t.Offsets[p.number] = at
			}
		}
		if slices.ContainsFunc(t.Offsets, func(at int64) bool { return at != unknown }) {
			next.Topics[topic] = t
			changed = changed || t.ID != old.ID || !slices.Equal(t.Offsets, old.Offsets)
		}
	}
	return next, changed
}

// A FormatError says that etcd has a mirror which this version of tasktier can't read.
type FormatError struct {
	Key     string
	Version int   // 0 if it is no mirror at all
	Err     error // nil if it is one
}

func (e *FormatError) Error() string {
	if e.Err != nil {
		return fmt.Sprintf("read %s in etcd: it is no mirror of offsets: %v; delete the key, and the first leader writes it anew", e.Key, e.Err)
	}
	return fmt.Sprintf("read %s in etcd: a mirror of offsets of version %d, and this tasktier reads %d; upgrade it", e.Key, e.Version, mirrorVersion)
}

func (e *FormatError) Unwrap() error { return e.Err }

// unreadable says whether an error is about what is no mirror at all, so that it may be written over.
func unreadable(err error) bool {
	format := (*FormatError)(nil)
	return errors.As(err, &format) && format.Err != nil
}

// readMirror reads a mirror and the revision of its last change, which is 0 if there is none.
func (in Installation) readMirror(ctx context.Context, r reader) (m mirror, revision int64, err error) {
	if in.Etcd == nil {
		return m, 0, nil
	}
	ctx, cancel := context.WithTimeout(ctx, etcdPatience)
	defer cancel()
	reply, err := in.Etcd.Get(ctx, r.key)
	if err != nil {
		return m, 0, fmt.Errorf("read %s of etcd at %s: %w", r.key, strings.Join(in.Etcd.Endpoints(), ","), err)
	}
	if len(reply.Kvs) == 0 {
		return m, 0, nil
	}
	revision = reply.Kvs[0].ModRevision
	m, err = decodeMirror(r.key, reply.Kvs[0].Value)
	return m, revision, err
}

// decodeMirror reads the value of a mirror's key. Its version is read before the rest, whose form another version may have
// changed: that is a mirror all the same, and not to be written over.
func decodeMirror(key string, text []byte) (m mirror, _ error) {
	var is struct{ Version int }
	err := json.Unmarshal(text, &is)
	if err == nil && is.Version == mirrorVersion {
		err = json.Unmarshal(text, &m)
	}
	if err != nil || is.Version != mirrorVersion {
		return mirror{}, &FormatError{Key: key, Version: is.Version, Err: err}
	}
	return m, nil
}

// Mirror has the mirrors of queues, and of the [Tiers], follow what is committed, at once and whoever leads. A node calls it
// when it has committed for the last time: it may be the last of all, and what leaders do comes once a minute.
func Mirror(ctx context.Context, in Installation, queues ...string) error {
	if in.Etcd == nil {
		return nil
	}
	var errs []error
	for _, queue := range queues {
		errs = append(errs, in.remirror(ctx, in.reader(queue)))
	}
	return errors.Join(errs...)
}

// errMirrorChanged says that somebody else wrote a mirror since it was read.
var errMirrorChanged = errors.New("it was changed by somebody else meanwhile")

// writeMirror writes a mirror that was read at a revision, if it is still that one and the conditions hold. [coord.ErrTermOver]
// says that these don't.
func (in Installation) writeMirror(ctx context.Context, r reader, m mirror, revision int64, conditions ...clientv3.Cmp) error {
	text, err := json.Marshal(m)
	if err != nil {
		return fmt.Errorf("encode mirror of offsets: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, etcdPatience)
	defer cancel()
	reply, err := in.Etcd.Txn(ctx).
		If(append(conditions, clientv3.Compare(clientv3.ModRevision(r.key), "=", revision))...).
		Then(clientv3.OpPut(r.key, string(text))).
		Else(clientv3.OpGet(r.key, clientv3.WithKeysOnly())).
		Commit()
	if err != nil {
		return fmt.Errorf("write %s of etcd at %s: %w", r.key, strings.Join(in.Etcd.Endpoints(), ","), err)
	}
	if reply.Succeeded {
		return nil
	}
	now := int64(0)
	for _, kv := range reply.Responses[0].GetResponseRange().Kvs {
		now = kv.ModRevision
	}
	if now == revision {
		return fmt.Errorf("write %s: %w", r.key, coord.ErrTermOver)
	}
	return fmt.Errorf("write %s: %w", r.key, errMirrorChanged)
}
