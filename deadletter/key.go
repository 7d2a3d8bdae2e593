package deadletter

import "strconv"

// Key is the key of a decoded task's letter: "<bytes of source>:<source><id>#<generation>". Lengths first, so that no
// two identities share a key whatever characters they contain.
func Key(source, id string, generation int) []byte {
	k := make([]byte, 0, len(source)+len(id)+16)
	k = strconv.AppendInt(k, int64(len(source)), 10)
	k = append(k, ':')
	k = append(k, source...)
	k = append(k, id...)
	k = append(k, '#')
	return strconv.AppendInt(k, int64(generation), 10)
}

// OriginKey is the key of a record that could not be decoded: the topic, partition and offset it was read from, as
// "topic/partition/offset". A topic's name has no slash and no colon, so it can't be taken for a [Key].
func OriginKey(origin string) []byte { return []byte(origin) }
