package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
)

// machine writes what the figures were measured on and with.
func machine(ctx context.Context, out io.Writer) {
	cpu := lineOf("/proc/cpuinfo", "model name")
	if cpu == "" {
		cpu = runtime.GOARCH
	}
	fmt.Fprintf(out, "%d cores of %s, memory %s, %s %s, %s\n\n", runtime.NumCPU(), cpu, lineOf("/proc/meminfo", "MemTotal"),
		runtime.GOOS, strings.TrimSpace(contents("/proc/sys/kernel/osrelease")), runtime.Version())
	for _, command := range [][]string{
		{"go", "list", "-m", "github.com/twmb/franz-go", "github.com/hibiken/asynq", "github.com/riverqueue/river"},
		{"redis-server", "--version"},
		{"psql", "--version"},
	} {
		output, err := exec.CommandContext(ctx, command[0], command[1:]...).Output()
		if err != nil {
			continue // the figures are worth printing without
		}
		for line := range strings.Lines(string(output)) {
			fmt.Fprintf(out, "- %s\n", strings.TrimSpace(line))
		}
	}
	fmt.Fprintln(out)
}

// lineOf is what follows the colon in the file's first line with that name.
func lineOf(file, name string) string {
	for line := range strings.Lines(contents(file)) {
		if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == name {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

func contents(file string) string {
	data, _ := os.ReadFile(file) // other systems have none
	return string(data)
}
