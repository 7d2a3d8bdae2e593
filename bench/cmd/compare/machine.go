package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"time"
)

// modules are those whose version decides upon figures.
var modules = []struct{ name, path string }{
	{"franz-go", "github.com/twmb/franz-go"},
	{"go-redis", "github.com/redis/go-redis/v9"},
	{"Watermill", "github.com/ThreeDotsLabs/watermill"},
	{"watermill-kafka", "github.com/ThreeDotsLabs/watermill-kafka/v3"},
	{"Sarama", "github.com/IBM/sarama"},
	{"asynq", "github.com/hibiken/asynq"},
	{"River", "github.com/riverqueue/river"},
	{"pgx", "github.com/jackc/pgx/v5"},
	{"etcd", "go.etcd.io/etcd/client/v3"}, // the server that tests start is of the same version
}

// dotted is a version in what a server says of itself.
var dotted = regexp.MustCompile(`\d+\.\d+(\.\d+)?`)

// machine writes what figures are measured on and with, as facts of a transcript.
func machine(ctx context.Context, out io.Writer) {
	cpu := lineOf("/proc/cpuinfo", "model name")
	if cpu == "" {
		cpu = runtime.GOARCH
	}
	memory := ""
	if kb, err := strconv.Atoi(strings.TrimSuffix(lineOf("/proc/meminfo", "MemTotal"), " kB")); err == nil {
		memory = fmt.Sprintf(" with %.0f GiB of memory", float64(kb)/(1<<20))
	}
	fmt.Fprintf(out, "machine: %d cores of %s%s, %s %s\n", runtime.NumCPU(), cpu, memory, runtime.GOOS,
		strings.TrimSpace(contents("/proc/sys/kernel/osrelease")))
	fmt.Fprintf(out, "date: %s\n", time.Now().UTC().Format(time.DateOnly))
	version := func(name, version string) {
		if version != "" { // the figures are worth printing without
			fmt.Fprintf(out, "version: %s %s\n", name, version)
		}
	}
	version("tasktier", said(ctx, "git", "describe", "--always", "--dirty"))
	version("Go", dotted.FindString(runtime.Version()))
	version("Kafka", dotted.FindString(lineWith(contents(filepath.Join(
		said(ctx, "go", "list", "-m", "-f", "{{.Dir}}", "github.com/tasktier/tasktier"), "internal/testenv/kafka/pom.xml"),
	), "<kafka.version>")))
	version("Redis", dotted.FindString(said(ctx, "redis-server", "--version")))
	version("PostgreSQL", dotted.FindString(said(ctx, "psql", "--version")))
	for _, m := range modules {
		version(m.name, said(ctx, "go", "list", "-m", "-f", "{{.Version}}", m.path))
	}
}

// said is what a command prints, or "" if it fails.
func said(ctx context.Context, command ...string) string {
	output, err := exec.CommandContext(ctx, command[0], command[1:]...).Output()
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(output))
}

// lineOf is what follows the colon in the file's first line with that name.
func lineOf(file, name string) string {
	_, value, _ := strings.Cut(lineWith(contents(file), name), ":")
	return strings.TrimSpace(value)
}

// lineWith is the text's first line that has such a part.
func lineWith(text, part string) string {
	for line := range strings.Lines(text) {
		if strings.Contains(line, part) {
			return line
		}
	}
	return ""
}

func contents(file string) string {
	data, _ := os.ReadFile(file) // other systems have none
	return string(data)
}
