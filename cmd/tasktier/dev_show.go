package main

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/tasktier/tasktier/consumer"
	"github.com/tasktier/tasktier/task"
)

// writeConfig writes a configuration that reaches the stack, to the data folder or a temporary one, which forget removes.
func (d *dev) writeConfig() (forget func(), err error) {
	forget = func() {}
	dir := d.options.data
	if dir == "" {
		if dir, err = os.MkdirTemp("", "tasktier-dev-"); err != nil {
			return nil, fmt.Errorf("make temporary folder: %w", err)
		}
		forget = func() { os.RemoveAll(dir) }
	}
	reach := d.cfg.Config
	// Handlers stay out: their secrets would have to be written, and this process has them.
	reach.Types = nil
	reach.Node.HTTP, reach.Node.Name = "", ""
	text, err := reach.YAML()
	if err == nil {
		text = append([]byte("# Reaches the servers of 'tasktier dev' while it runs. Written anew at each start.\n"), text...)
		d.reach, err = filepath.Abs(filepath.Join(dir, "tasktier.yaml"))
	}
	if err == nil {
		err = os.WriteFile(d.reach, text, 0o600)
	}
	if err != nil {
		forget()
		return nil, fmt.Errorf("write configuration: %w", err)
	}
	return forget, nil
}

// announce says what runs where and how to use it.
func (d *dev) announce(mux *consumer.Mux) {
	d.prose("kafka   %s", strings.Join(d.cfg.Kafka.Brokers, ","))
	d.prose("redis   %s", strings.Join(d.cfg.Redis.Addresses, ","))
	d.prose("etcd    %s", strings.Join(d.cfg.Etcd.Endpoints, ","))
	if d.options.http != "" {
		d.prose("http    %s/metrics, /healthz, /readyz", d.options.http)
	}
	d.prose("config  %s", d.reach)
	d.prose("types   %s", strings.Join(mux.Types(), ", "))
	queue := ""
	if _, ok := d.cfg.Queues["tasks"]; !ok || d.queueGiven {
		for name := range d.cfg.Queues {
			queue = " --queue " + name
		}
	}
	if d.options.tasks == "" {
		d.prose("\nSend a task from another terminal:\n\n  %s -c %s%s task send demo.echo -d '{\"hello\":\"world\"}'\n", program(), quote(d.reach), queue)
	}
}

// program is how to call this program again from where it was called.
func program() string {
	if !strings.ContainsRune(os.Args[0], filepath.Separator) {
		return os.Args[0] // found on the path
	}
	path, err := os.Executable()
	if err != nil {
		return os.Args[0]
	}
	if info, ok := debug.ReadBuildInfo(); ok && strings.Contains(path, string(filepath.Separator)+"go-build") {
		return "go run " + info.Path // go run's own copy is gone when this process is
	}
	return quote(path)
}

// quote protects a path from the shell, if it needs that.
func quote(s string) string {
	safe := !strings.ContainsFunc(s, func(r rune) bool {
		return !strings.ContainsRune("/._-+:@%=,", r) && (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z')
	})
	if safe {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// A devSummary adds up: lines = sent + bad + failed, and sent = succeeded + dead + duplicates + unfinished.
type devSummary struct {
	loaded
	outcomes
	Seconds float64 `json:"seconds"`
	Rate    float64 `json:"tasks_per_second"`
}

func (d *dev) summarize(s devSummary) error {
	s.Rate = float64(s.Succeeded+s.Dead) / max(s.Seconds, 1e-9)
	if d.json() {
		return d.object(struct {
			Summary devSummary `json:"summary"`
		}{s})
	}
	d.bar.around(func() { d.prose("%s", s) })
	return nil
}

func (s devSummary) String() string {
	var text strings.Builder
	row := func(n int, what string) { fmt.Fprintf(&text, "%9d  %s\n", n, what) }
	text.WriteString("\n")
	row(s.Lines, "lines")
	row(s.Sent, "  sent")
	row(s.Succeeded, "    succeeded")
	row(s.Dead, "    dead"+reasons(s.Reasons))
	if s.Duplicates > 0 {
		row(s.Duplicates, "    sent before (the same source and id: the same task)")
	}
	if s.Unfinished > 0 {
		row(s.Unfinished, "    not finished yet")
	}
	row(s.Bad, "  bad, not sent")
	if s.Failed > 0 {
		row(s.Failed, "  refused or not acknowledged")
	}
	fmt.Fprintf(&text, "%.2fs, %.0f tasks/s", s.Seconds, s.Rate)
	return text.String()
}

// reasons lists why tasks are dead.
func reasons(counts map[task.Reason]int) string {
	if len(counts) == 0 {
		return ""
	}
	var list []string
	for reason, n := range counts {
		list = append(list, fmt.Sprintf("%s %d", reason, n))
	}
	slices.Sort(list)
	return " (" + strings.Join(list, ", ") + ")"
}
