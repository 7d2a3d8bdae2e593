// Package readme holds the README to its word: its commands are run as they stand there, in a fresh clone, and the code
// that it shows is code of the repository.
package readme

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tasktier/tasktier/internal/embedded"
)

const root = "../.."

// A block is a fenced block of the README with the comment above it, "" if there is none.
type block struct {
	line           int
	note           string
	language, text string
}

func blocks(t *testing.T, file string) []block {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var all []block
	var note string
	var open *block
	for i, line := range strings.Split(string(data), "\n") {
		switch {
		case open != nil && line == "```":
			all = append(all, *open)
			open, note = nil, ""
		case open != nil:
			open.text += line + "\n"
		case strings.HasPrefix(line, "<!-- "):
			note = strings.TrimSuffix(strings.TrimPrefix(line, "<!-- "), " -->")
		case strings.HasPrefix(line, "```"):
			open = &block{line: i + 2, note: note, language: line[3:]}
		}
	}
	if open != nil {
		t.Fatalf("%s:%d: the block is not closed", file, open.line)
	}
	return all
}

// TestCodeIsFromTheRepository: a block that names its file is part of it, line for line.
func TestCodeIsFromTheRepository(t *testing.T) {
	named := 0
	for _, b := range blocks(t, filepath.Join(root, "README.md")) {
		file, ok := strings.CutPrefix(b.note, "file: ")
		if !ok {
			if b.language == "go" || b.language == "yaml" {
				t.Errorf("README.md:%d: this %s names no file", b.line, b.language)
			}
			continue
		}
		named++
		data, err := os.ReadFile(filepath.Join(root, file))
		if err != nil {
			t.Errorf("README.md:%d: %v", b.line, err)
		} else if !strings.Contains(string(data), b.text) {
			t.Errorf("README.md:%d: this is not in %s:\n%s", b.line, file, b.text)
		}
	}
	if named == 0 {
		t.Error("the README shows no code")
	}
}

// TestLinksLead: what the README links to in the repository is there.
func TestLinksLead(t *testing.T) {
	data, err := os.ReadFile(filepath.Join(root, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	prose := regexp.MustCompile("(?s)```.*?```").ReplaceAllString(string(data), "")
	for _, link := range regexp.MustCompile(`\]\(([^)]+)\)`).FindAllStringSubmatch(prose, -1) {
		target := link[1]
		if strings.HasPrefix(target, "http") {
			continue
		}
		if _, err := os.Stat(filepath.Join(root, target)); err != nil {
			t.Errorf("README.md links to %s: %v", target, err)
		}
	}
}

// TestCommandsInAFreshClone runs what a reader would copy first. It needs the network for Go's modules and clones what is
// committed, so it runs only when asked to (README=fresh, as ./check readme does).
func TestCommandsInAFreshClone(t *testing.T) {
	if os.Getenv("README") != "fresh" {
		t.Skip("set README=fresh: it tests what is committed, not the working tree")
	}
	clone := filepath.Join(t.TempDir(), "tasktier")
	if out, err := exec.CommandContext(t.Context(), "git", "clone", "-q", root, clone).CombinedOutput(); err != nil {
		t.Fatalf("clone: %v\n%s", err, out)
	}
	ran := 0
	for _, b := range blocks(t, filepath.Join(clone, "README.md")) {
		var want int
		if n, _ := fmt.Sscanf(b.note, "run: exit %d", &want); n != 1 {
			continue
		}
		ran++
		cmd := exec.CommandContext(t.Context(), "bash", "-euo", "pipefail", "-c", b.text)
		cmd.Dir = clone
		out, err := cmd.CombinedOutput()
		// `go run` itself exits with 1 and says what the program exited with.
		got := cmd.ProcessState.ExitCode()
		if strings.HasSuffix(strings.TrimSpace(string(out)), fmt.Sprintf("exit status %d", want)) {
			got = want
		}
		if got != want {
			t.Errorf("README.md:%d exits with %d (%v), the README says %d\n%s", b.line, got, err, want, out)
		}
	}
	if ran == 0 {
		t.Error("the README has no command to run")
	}
}

// TestHandlerInPython runs the README's Python handler and its two commands against the embedded stack. Ports are chosen
// by the test; everything else is as in the README.
func TestHandlerInPython(t *testing.T) {
	if testing.Short() {
		t.Skip("builds the tasktier command: ./check readme runs it")
	}
	if _, err := exec.LookPath("python3"); err != nil {
		t.Fatal("python3 is missing: apt-get install -y python3")
	}
	var commands []string
	for _, b := range blocks(t, filepath.Join(root, "README.md")) {
		if b.language == "sh" && strings.Contains(b.text, "examples/http/tasktier.yaml") {
			commands = strings.Split(strings.TrimSpace(b.text), "\n")
		}
	}
	if len(commands) != 2 {
		t.Fatalf("the README has %d commands for the Python handler, want 2", len(commands))
	}
	stack, err := embedded.Start(t.Context(), embedded.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := stack.Close(); err != nil {
			t.Error(err)
		}
	})
	bin := t.TempDir()
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", filepath.Join(bin, "tasktier"), root+"/cmd/tasktier").CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	port := freePort(t)
	env := append(os.Environ(),
		"PATH="+bin+":"+os.Getenv("PATH"),
		"TASKTIER_KAFKA_BROKERS="+strings.Join(stack.KafkaAddrs(), ","),
		"TASKTIER_NODE_HTTP=127.0.0.1:"+freePort(t),
		"TASKTIER_TYPES_REPORT_MAKE_HTTP_URL=http://127.0.0.1:"+port+"/report",
	)
	handled := start(t, env, "python3", "examples/http/handler.py", port)
	eventually(t, "the handler listens", func() error {
		conn, err := net.Dial("tcp", "127.0.0.1:"+port)
		if err == nil {
			conn.Close()
		}
		return err
	})
	node := exec.CommandContext(t.Context(), "bash", "-c", "exec "+commands[0])
	node.Dir, node.Env = root, env
	log, err := os.Create(filepath.Join(bin, "node.log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	said := func() string { text, _ := os.ReadFile(log.Name()); return string(text) }
	node.Stderr = log
	if err := node.Start(); err != nil {
		t.Fatal(err)
	}
	// The topic is there once the node is.
	eventually(t, "the task is accepted", func() error {
		send := exec.CommandContext(t.Context(), "bash", "-c", commands[1])
		send.Dir, send.Env = root, env
		out, err := send.CombinedOutput()
		if err != nil {
			err = fmt.Errorf("%s: %w\n%s\nnode:\n%s", commands[1], err, out, said())
		}
		return err
	})
	select {
	case line := <-handled:
		if !strings.HasSuffix(line, "attempt 1 2026-10") {
			t.Errorf("the handler printed %q", line)
		}
	case <-time.After(patience):
		t.Errorf("the handler printed nothing; the node:\n%s", said())
	}
	if err := node.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := node.Wait(); err != nil {
		t.Errorf("the node did not stop cleanly: %v\n%s", err, said())
	}
}

// patience bounds every wait.
const patience = time.Minute

// eventually tries until there is no error.
func eventually(t *testing.T, what string, try func() error) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for {
		err := try()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: %v", what, err)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// start runs a program until the test ends and returns the lines that it prints.
func start(t *testing.T, env []string, name string, args ...string) <-chan string {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir, cmd.Env, cmd.Stderr = root, env, os.Stderr
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		cancel()
		t.Fatal(err)
	}
	lines := make(chan string, 16)
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer close(lines)
		for s := bufio.NewScanner(out); s.Scan(); {
			lines <- s.Text()
		}
	}()
	t.Cleanup(func() {
		cancel()
		<-done
		cmd.Wait() //nolint:errcheck // it was killed
	})
	return lines
}

func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return port
}
