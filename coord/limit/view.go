package limit

import (
	"cmp"
	"encoding/json"
	"slices"

	"github.com/tasktier/tasktier/coord"
	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// A view is what etcd has of all limits at a revision.
type view struct {
	keys     keys
	mine     identity
	revision int64
	types    map[string]*seats
}

// seats are the slots and the tickets of one type.
type seats struct {
	slots map[int]entry
	line  map[string]entry // by session
}

// An entry is a slot's key or a ticket.
type entry struct {
	owner
	token int64 // its create revision
	ours  bool  // written by this limiter in this session
}

// An owner is what the value of a key says.
type owner struct {
	Session string `json:"session"`
	Node    string `json:"node"`
	Limiter string `json:"limiter"`
}

// An identity is how a limiter knows its own keys in one session.
type identity struct {
	session string
	grant   clientv3.LeaseID
	value   string
}

func identify(r coord.Registered, node, limiter string) identity {
	value, _ := json.Marshal(owner{r.Lease.ID(), node, limiter}) //nolint:errchkjson // three strings
	return identity{r.Lease.ID(), r.Grant, string(value)}
}

// newView is the view that a reading of all keys gives.
func newView(k keys, mine identity, reply *clientv3.GetResponse) *view {
	v := &view{keys: k, mine: mine, revision: reply.Header.Revision, types: make(map[string]*seats)}
	for _, kv := range reply.Kvs {
		v.set(kv)
	}
	return v
}

func (v *view) set(kv *mvccpb.KeyValue) {
	at, ok := v.keys.parse(string(kv.Key))
	if !ok {
		return
	}
	e := entry{token: kv.CreateRevision, ours: kv.Lease == int64(v.mine.grant) && string(kv.Value) == v.mine.value}
	if json.Unmarshal(kv.Value, &e.owner) != nil {
		e.owner = owner{} // somebody's who writes it in another form; that it is there is what counts
	}
	s := v.of(at.typ)
	if at.folder == slotsFolder {
		s.slots[at.number] = e
	} else {
		e.Session = at.session
		s.line[at.session] = e
	}
}

func (v *view) unset(key string) {
	at, ok := v.keys.parse(key)
	if !ok {
		return
	}
	s := v.of(at.typ)
	if at.folder == slotsFolder {
		delete(s.slots, at.number)
	} else {
		delete(s.line, at.session)
	}
	if len(s.slots)+len(s.line) == 0 {
		delete(v.types, at.typ)
	}
}

// apply takes events over and returns the types that they are of.
func (v *view) apply(events []*clientv3.Event) []string {
	var touched []string
	for _, event := range events {
		if event.Type == clientv3.EventTypePut {
			v.set(event.Kv)
		} else {
			v.unset(string(event.Kv.Key))
		}
		if at, ok := v.keys.parse(string(event.Kv.Key)); ok {
			touched = append(touched, at.typ)
		}
		// Not the revision in the reply's header: that can be ahead of the events that were sent.
		v.revision = max(v.revision, event.Kv.ModRevision)
	}
	return touched
}

// look returns a type's seats to read them.
func (v *view) look(typ string) *seats {
	if s := v.types[typ]; s != nil {
		return s
	}
	return &seats{}
}

// of returns a type's seats to change them.
func (v *view) of(typ string) *seats {
	s := v.types[typ]
	if s == nil {
		s = &seats{slots: map[int]entry{}, line: map[string]entry{}}
		v.types[typ] = s
	}
	return s
}

// ours says whether this limiter has anything of the type.
func (s *seats) ours(session string) bool {
	if s.line[session].ours {
		return true
	}
	for _, e := range s.slots {
		if e.ours {
			return true
		}
	}
	return false
}

// held counts the slots of each session.
func (s *seats) held() map[string]int {
	held := make(map[string]int)
	for _, e := range s.slots {
		held[e.Session]++
	}
	return held
}

// waiting is the line: those with the fewest slots first, and of those the oldest ticket.
func (s *seats) waiting() []entry {
	line := make([]entry, 0, len(s.line))
	for _, e := range s.line {
		line = append(line, e)
	}
	held := s.held()
	slices.SortFunc(line, func(a, b entry) int {
		return cmp.Or(cmp.Compare(held[a.Session], held[b.Session]), cmp.Compare(a.token, b.token), cmp.Compare(a.Session, b.Session))
	})
	return line
}

// count says how many of n slots are free, and whether somebody has one that is not among them.
func (s *seats) count(n int) (free int, beyond bool) {
	free = n
	for number := range s.slots {
		if number < n {
			free--
		} else {
			beyond = true
		}
	}
	return free, beyond
}

// free are the lowest numbers below n that nobody has, so many at most.
func (s *seats) free(n, most int) []int {
	var free []int
	for number := 0; number < n && len(free) < most; number++ {
		if _, taken := s.slots[number]; !taken {
			free = append(free, number)
		}
	}
	return free
}
