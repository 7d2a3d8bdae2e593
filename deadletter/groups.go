package deadletter

import (
	"cmp"
	"context"
	"regexp"
	"slices"
	"strings"
	"time"
)

// A Group is letters of one type whose errors differ only in numbers, identifiers and quoted strings.
type Group struct {
	Queue string
	// Type of the tasks; "" for records that have none.
	Type string
	// Error is their error, with what varies replaced: <n> a number, <d> a duration, <id> an identifier, <s> what stood
	// in quotes. It ends after some 200 bytes.
	Error string
	// Pattern is a regular expression that matches the errors of the group. It may match few others that differ only in
	// what is taken for an identifier.
	Pattern string
	// Letters counts them, and First and Last are the times of the first and the last death.
	Letters     int64
	First, Last time.Time
	// Sample is the ID of the letter that died last, and Source that of its task.
	Sample, Source string
	// Rest marks a last group of all that are not told apart, because there are more than [MaxGroups]. It has no more than
	// Queue, Letters, First and Last.
	Rest bool
}

// MaxGroups bounds the groups that are told apart, the largest ones.
const MaxGroups = 1000

// Filter selects the letters of the group.
func (g Group) Filter() Filter {
	return Filter{Types: []string{g.Type}, ErrorRegexp: regexp.MustCompile(g.Pattern)}
}

// Command is the command line that replays the group, for a POSIX shell. "" for the rest, which has none.
func (g Group) Command() string {
	if g.Rest {
		return ""
	}
	words := []string{"tasktier", "dead", "replay", "--queue", g.Queue, "--type", g.Type, "--error-regexp", g.Pattern}
	for i, w := range words {
		words[i] = quote(w)
	}
	return strings.Join(words, " ")
}

// quote writes a word so that a shell takes it as it is.
func quote(word string) string {
	plain := word != ""
	for i := range len(word) {
		if c := word[i]; !alphanumeric(c) && !strings.ContainsRune("-_./:=@,+", rune(c)) {
			plain = false
		}
	}
	if plain {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}

// groupNote is what is kept of a letter to be grouped.
type groupNote struct {
	died   int64 // Unix milliseconds
	offset int64
	size   uint32
	group  uint16 // in its partition's groups
}

// A kind is what the letters of a group have in common.
type kind struct{ typ, pattern string }

// kinds are those of a partition, up to [maxNames].
type kinds struct {
	numbers map[kind]uint16
	names   []kind
	texts   []string
	seen    map[string]fingerprint // of errors that were seen, as most come more than once
}

// maxSeen bounds the errors whose fingerprints are kept, in each partition.
const maxSeen = 1000

func (k *kinds) number(l *Letter) uint16 {
	f, known := k.seen[l.Err]
	if !known {
		f = fingerprintOf(l.Err)
		if len(k.seen) == maxSeen {
			clear(k.seen)
		}
		k.seen[l.Err] = f
	}
	name := kind{l.Task.Type, f.pattern}
	n, known := k.numbers[name]
	if !known && len(k.names) < maxNames {
		n, known = uint16(len(k.names)), true
		k.numbers[name] = n
		k.names, k.texts = append(k.names, name), append(k.texts, f.text)
	}
	if !known {
		return maxNames
	}
	return n
}

// Groups puts the letters of a queue that match into groups, the largest first. It reads the topic once, and then a letter
// of each group; it keeps some 60 bytes for each letter that matches.
func (s *Store) Groups(ctx context.Context, queue string, f Filter, opts ...ReadOption) ([]Group, error) {
	src, spans, err := s.open(ctx, queue)
	if err != nil {
		return nil, err
	}
	found := make(map[int32]*kinds, len(spans))
	for _, sp := range spans {
		found[sp.partition] = &kinds{numbers: make(map[kind]uint16), seen: make(map[string]fingerprint)}
	}
	notes, err := scan(ctx, src, spans, opts, func(partition int32) judge[groupNote] {
		kinds := found[partition]
		return func(l *Letter) (groupNote, bool) {
			if !f.Match(l) {
				return groupNote{}, false
			}
			return groupNote{l.Died.UnixMilli(), l.Offset, uint32(l.Bytes()), kinds.number(l)}, true
		}
	})
	if err != nil {
		return nil, err
	}
	groups := grouped(queue, notes, found)
	return src.samples(ctx, groups)
}

// A counted is a group and where its sample lies.
type counted struct {
	Group
	sample place
}

func (c *counted) add(n groupNote, partition int32) {
	died := time.UnixMilli(n.died).UTC()
	if c.Letters == 0 || died.Before(c.First) {
		c.First = died
	}
	if c.Letters == 0 || died.After(c.Last) {
		c.Last = died
		c.sample = place{n.died, n.offset, partition, n.size}
	}
	c.Letters++
}

// grouped counts the letters of each kind.
func grouped(queue string, notes map[int32]map[digest]groupNote, found map[int32]*kinds) []*counted {
	groups, rest := make(map[kind]*counted), &counted{Group: Group{Queue: queue, Rest: true}}
	for partition, notes := range notes {
		kinds := found[partition]
		numbered := make([]*counted, len(kinds.names), len(kinds.names)+1)
		for i, name := range kinds.names {
			if groups[name] == nil {
				groups[name] = &counted{Group: Group{Queue: queue, Type: name.typ, Pattern: name.pattern, Error: kinds.texts[i]}}
			}
			numbered[i] = groups[name]
		}
		for _, n := range notes {
			if n.group == maxNames {
				rest.add(n, partition)
			} else {
				numbered[n.group].add(n, partition)
			}
		}
	}
	var sorted []*counted
	for _, g := range groups {
		if g.Letters > 0 { // not replaced or taken away later in the topic
			sorted = append(sorted, g)
		}
	}
	slices.SortFunc(sorted, func(a, b *counted) int {
		return cmp.Or(cmp.Compare(b.Letters, a.Letters), cmp.Compare(a.Type, b.Type), cmp.Compare(a.Pattern, b.Pattern))
	})
	for _, g := range sorted[min(len(sorted), MaxGroups):] {
		rest.merge(g)
	}
	sorted = sorted[:min(len(sorted), MaxGroups)]
	if rest.Letters > 0 {
		sorted = append(sorted, rest)
	}
	return sorted
}

func (c *counted) merge(o *counted) {
	if c.Letters == 0 || o.First.Before(c.First) {
		c.First = o.First
	}
	if c.Letters == 0 || o.Last.After(c.Last) {
		c.Last = o.Last
	}
	c.Letters += o.Letters
}

// samples reads a letter of each group, for its name.
func (src *source) samples(ctx context.Context, found []*counted) ([]Group, error) {
	var places []place
	for _, g := range found {
		if !g.Rest {
			places = append(places, g.sample)
		}
	}
	type spot struct {
		partition int32
		offset    int64
	}
	names := make(map[spot][2]string)
	var failed error
	src.each(ctx, places, func(l *Letter, err error) bool {
		if err != nil {
			failed = err
			return false
		}
		names[spot{l.Partition, l.Offset}] = [2]string{l.ID(), l.Task.Source}
		return true
	})
	if failed != nil {
		return nil, failed
	}
	groups := make([]Group, len(found))
	for i, g := range found {
		name := names[spot{g.sample.partition, g.sample.offset}]
		g.Sample, g.Source = name[0], name[1]
		groups[i] = g.Group
	}
	return groups, nil
}
