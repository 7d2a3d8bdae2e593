package config

import "strings"

// Error says what is wrong with a configuration. The command exits with 2 on it.
type Error struct {
	Problems []Problem // at least one, in the order they were found
}

// Error is one line for each problem.
func (e *Error) Error() string {
	lines := make([]string, len(e.Problems))
	for i, p := range e.Problems {
		lines[i] = p.String()
	}
	return strings.Join(lines, "\n")
}

// A Problem is one thing wrong with a configuration.
type Problem struct {
	Where   string // "file:line", the file alone, or the environment variable. Empty: a value that a program set
	Key     string // as in queues.tasks.weight. Empty: no single key
	Message string
}

// String is the problem on one line.
func (p Problem) String() string {
	s := p.Message
	if p.Key != "" {
		s = p.Key + ": " + s
	}
	if p.Where != "" {
		s = p.Where + ": " + s
	}
	return strings.ReplaceAll(s, "\n", `\n`)
}

// problems collects, and becomes an error if there are any.
type problems []Problem

func (p problems) err() error {
	if len(p) == 0 {
		return nil
	}
	return &Error{p}
}

// suggest returns the one of known that typo was probably meant to be, or "".
func suggest(typo string, known []string) string {
	best, least := "", 1+len(typo)/3 // a third of the letters may be wrong
	for _, k := range known {
		if d := distance(typo, k); d <= least && (best == "" || d < least) {
			best, least = k, d
		}
	}
	return best
}

// distance counts the letters to insert, delete, replace or swap with their neighbour to make b of a (optimal string
// alignment).
func distance(a, b string) int {
	const long = 64
	if len(a) > long || len(b) > long {
		return long
	}
	var rows [3][long + 1]int // the row at work and the two above it
	for j := range len(b) + 1 {
		rows[0][j] = j
	}
	for i := 1; i <= len(a); i++ {
		row, above, above2 := &rows[i%3], &rows[(i+2)%3], &rows[(i+1)%3]
		row[0] = i
		for j := 1; j <= len(b); j++ {
			replace := above[j-1]
			if a[i-1] != b[j-1] {
				replace++
			}
			row[j] = min(replace, above[j]+1, row[j-1]+1)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], above2[j-2]+1)
			}
		}
	}
	return rows[len(a)%3][len(b)]
}
