package bench

import (
	"os"
	"strconv"
	"strings"
	"testing"
)

// setting is a number from the environment.
func setting(b *testing.B, name string, otherwise int) int {
	b.Helper()
	text := os.Getenv(name)
	if text == "" {
		return otherwise
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		b.Fatalf("%s is %q, want a positive number", name, text)
	}
	return n
}

// postgresSettings are more settings of PostgreSQL, from BENCH_POSTGRES: "synchronous_commit=off wal_level=minimal".
func postgresSettings() []string { return strings.Fields(os.Getenv("BENCH_POSTGRES")) }

// trial is whether go test tries a benchmark with one task, as it does before every run. One task shows nothing, and the
// servers and groups of a side would have to be started for it.
func trial(b *testing.B) bool { return b.N == 1 }
