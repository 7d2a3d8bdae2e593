package claim

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
)

// buckets is how many hash tags the claims of an installation share. On a cluster, keys of one tag lie on one server, and
// one call takes the operations of one tag: few tags mean few calls.
const buckets = 16

// An Identity names a task: within a queue, the pair (source, id) of its CloudEvent.
type Identity struct {
	Queue, Source, ID string
}

// A Key names a task's claim: 128 bits of a hash of its identity.
type Key [16]byte

// Key hashes the identity. Lengths go in before the texts, so that no two identities run into each other.
func (i Identity) Key() Key {
	var stack [256]byte
	b := stack[:0]
	for _, part := range [...]string{i.Queue, i.Source, i.ID} {
		b = binary.AppendUvarint(b, uint64(len(part)))
		b = append(b, part...)
	}
	sum := sha256.Sum256(b)
	return Key(sum[:16])
}

func (k Key) bucket() int { return int(k[0] % buckets) }

const hexDigits = "0123456789abcdef"

// appendTag appends what all Redis keys of a bucket begin with: "<prefix>:{<bucket>}:".
func appendTag(b []byte, prefix string, bucket int) []byte {
	b = append(b, prefix...)
	return append(b, ':', '{', hexDigits[bucket], '}', ':')
}

// text is the Redis key of the claim: "<prefix>:{<bucket>}:<22 characters>".
func (k Key) text(prefix string) string {
	var stack [96]byte
	b := appendTag(stack[:0], prefix, k.bucket())
	return string(base64.RawURLEncoding.AppendEncode(b, k[:]))
}

// detailsSuffix ends the key of a claim's details.
const detailsSuffix = ":d"
