package coord

import (
	"crypto/rand"
	"strings"
)

// A kind is the first letter of a session's id. It tells everybody who meets the id, in a claim for instance, what it means
// that etcd has no such key.
type kind string

const (
	registeredFirst kind = "s" // it was there before it was used, so it is gone
	usedFirst       kind = "u" // it may be yet to come
)

// newID draws an id: its kind and 60 random bits. That no other session has it is also checked when it is registered.
func newID(k kind) string { return string(k) + strings.ToLower(rand.Text()[:12]) }

func kindOf(id string) kind { return kind(id[:1]) }

// validID says whether an id can be part of a key. It is deliberately wide: a later version may draw others.
func validID(id string) bool {
	if id == "" || len(id) > 64 {
		return false
	}
	for _, c := range []byte(id) {
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '-' && c != '_' {
			return false
		}
	}
	return true
}
