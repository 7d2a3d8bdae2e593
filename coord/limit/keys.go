package limit

import (
	"fmt"
	"net/url"
	"strconv"
	"strings"

	"github.com/tasktier/tasktier/internal/names"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// keys is what all keys of limits begin with.
type keys string

func keysUnder(prefix string) keys { return keys(names.EtcdPrefix(prefix) + "/limits/") }

// The folders of a type.
const (
	slotsFolder   = "slots"
	waitingFolder = "waiting"
)

func (k keys) folder(typ, folder string) string {
	return string(k) + url.PathEscape(typ) + "/" + folder + "/"
}

// slot has as many digits for all numbers, so that those beyond a limit are a range of keys.
func (k keys) slot(typ string, number int) string {
	return k.folder(typ, slotsFolder) + fmt.Sprintf("%06d", number)
}

func (k keys) ticket(typ, session string) string { return k.folder(typ, waitingFolder) + session }

// A spot is what a key stands for: a slot, or the ticket of a session.
type spot struct {
	typ     string
	folder  string
	number  int    // of a slot
	session string // of a ticket
}

// parse reads a key; false for one that is none of ours.
func (k keys) parse(key string) (spot, bool) {
	rest, ok := strings.CutPrefix(key, string(k))
	parts := strings.Split(rest, "/")
	if !ok || len(parts) != 3 {
		return spot{}, false
	}
	typ, err := url.PathUnescape(parts[0])
	if err != nil {
		return spot{}, false
	}
	s := spot{typ: typ, folder: parts[1]}
	switch s.folder {
	case slotsFolder:
		s.number, err = strconv.Atoi(parts[2])
		return s, err == nil && s.number >= 0 && k.slot(typ, s.number) == key
	case waitingFolder:
		s.session = parts[2]
		return s, k.ticket(typ, s.session) == key
	default:
		return spot{}, false
	}
}

// nobodyWaits is the condition that there is no ticket.
func (k keys) nobodyWaits(typ string) clientv3.Cmp {
	return clientv3.Compare(clientv3.CreateRevision(k.folder(typ, waitingFolder)), "=", 0).WithPrefix()
}

// noneBeyond is the condition that there is no slot that n slots don't have.
func (k keys) noneBeyond(typ string, n int) clientv3.Cmp {
	return clientv3.Compare(clientv3.CreateRevision(k.slot(typ, n)), "=", 0).
		WithRange(clientv3.GetPrefixRangeEnd(k.folder(typ, slotsFolder)))
}

func absent(key string) clientv3.Cmp {
	return clientv3.Compare(clientv3.CreateRevision(key), "=", 0)
}

func created(key string, revision int64) clientv3.Cmp {
	return clientv3.Compare(clientv3.CreateRevision(key), "=", revision)
}
