//go:build unix

package handler

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/tasktier/tasktier/consumer"
	"github.com/tasktier/tasktier/task"
)

// patience is when a test gives up on a process that should have spoken or died.
const patience = 20 * time.Second

// newExec makes a handler that runs this test binary as a child; see beChild for what args can be.
func newExec(t *testing.T, grace time.Duration, args ...string) consumer.Handler {
	t.Helper()
	h, err := Exec(ExecConfig{
		Command: append([]string{os.Args[0]}, args...),
		Env:     []string{childVariable + "=1", "GORACE=atexit_sleep_ms=0", "CONFIGURED=yes"},
		Grace:   grace,
	})
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func TestExecExitDecidesTheOutcome(t *testing.T) {
	for _, c := range []struct {
		args []string
		want outcome
		text string
	}{
		{[]string{"exit", "0"}, succeeded, ""},
		{[]string{"exit", "0", "only a warning"}, succeeded, ""},
		{[]string{"exit", "65", "no such address"}, permanent, "exit status 65: no such address"},
		{[]string{"exit", "75"}, retry, "exit status 75"},
		{[]string{"exit", "1", "first\nsecond\n"}, retry, "exit status 1: first\nsecond"},
		{[]string{"exit", "255"}, retry, "exit status 255"},
		{[]string{"die"}, retry, "signal: killed"},
	} {
		t.Run(strings.Join(c.args[:min(2, len(c.args))], " "), func(t *testing.T) {
			err := newExec(t, 0, c.args...)(t.Context(), someTask())
			if got := outcomeOf(err); got != c.want {
				t.Fatalf("outcome is %s (%v), want %s", got, err, c.want)
			}
			if err != nil && err.Error() != "run "+os.Args[0]+": "+c.text {
				t.Errorf("error is %q, want %q at its end", err, c.text)
			}
		})
	}
}

func TestExecInputAndOutput(t *testing.T) {
	big := strings.Repeat("0123456789abcdef", 1<<16)
	for _, c := range []struct {
		name    string
		payload string
		args    []string
		want    string // of the error
	}{
		{"the payload is on standard input, byte for byte", "\x00\xff" + big, []string{"sum"}, fmt.Sprintf("%d bytes, first 00ff", len(big)+2)},
		{"no payload is an empty input", "", []string{"sum"}, "0 bytes, first"},
		{"a command need not read its input", big, []string{"exit", "0"}, ""},
		{"any amount of output is taken outside a node too", "", []string{"print", "stdout", "0"}, ""},
		{"of much on standard error, the end counts", "", []string{"print", "stderr", "1"}, "the end"},
	} {
		t.Run(c.name, func(t *testing.T) {
			tt := someTask()
			tt.Payload = []byte(c.payload)
			err := newExec(t, 0, c.args...)(t.Context(), tt)
			if c.want == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if err == nil || !strings.HasSuffix(err.Error(), c.want) {
				t.Fatalf("error is %v, want %q at its end", err, c.want)
			}
			if len(err.Error()) > 4<<10 {
				t.Errorf("the error has %d bytes: a record would carry it without its end", len(err.Error()))
			}
		})
	}
}

func TestExecOutputOfASuccessIsTheResult(t *testing.T) {
	for _, c := range []struct {
		name string
		args []string
		want string // of the result; empty: none
		end  outcome
	}{
		{"byte for byte", []string{"say", " {\"n\":1}\n\xff", "0"}, " {\"n\":1}\n\xff", succeeded},
		{"nothing is no result", []string{"say", "", "0"}, "", succeeded},
		{"standard error is none", []string{"exit", "0", "only a warning"}, "", succeeded},
		{"of a failure", []string{"say", "done so far", "1"}, "", retry},
		{"of a permanent failure", []string{"say", "done so far", "65"}, "", permanent},
		{"the longest", []string{"fill", fmt.Sprint(task.MaxResult)}, strings.Repeat("x", task.MaxResult), succeeded},
		{"a byte more", []string{"fill", fmt.Sprint(task.MaxResult + 1)}, "", succeeded},
		{"any amount is taken", []string{"fill", fmt.Sprint(8 << 20)}, "", succeeded},
	} {
		t.Run(c.name, func(t *testing.T) {
			tt, run := someTask(), &lent{}
			if err := newExec(t, 0, c.args...)(run.under(t.Context(), tt), tt); outcomeOf(err) != c.end {
				t.Errorf("outcome is %v, want %s", err, c.end)
			}
			run.expect(t, c.want)
		})
	}
}

func TestExecAttributesAreInTheEnvironment(t *testing.T) {
	t.Setenv("TASKTIER_TASK_KEY", "stale")
	t.Setenv("TASKTIER_TASK_FENCE", "1")
	t.Setenv("TASKTIER_KAFKA_BROKERS", "kept")
	tt := task.New("email.send", nil, task.ID("7; rm -rf /"), task.Source("/$(shop)"), task.ContentType("text/plain"),
		task.Queue("mail"), task.Trace(traceParent, "a=b"), task.WithHeader("ce_tenant", "`blue`"))
	tt.Time = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	tt.Generation, tt.Turn, tt.Attempt = 2, 3, 4
	names := []string{"ID", "SOURCE", "TYPE", "QUEUE", "KEY", "CONTENT_TYPE", "TIME", "TRACEPARENT", "TRACESTATE", "GENERATION", "TURN", "ATTEMPT", "FENCE", "SLOT"}
	for i := range names {
		names[i] = "TASKTIER_TASK_" + names[i]
	}
	names = append(names, "TASKTIER_HEADER_CE_TENANT", "TASKTIER_KAFKA_BROKERS", "CONFIGURED", "TASKTIER_TASK_UNKNOWN")
	h := newExec(t, 0, append([]string{"env"}, names...)...)
	for _, c := range []struct {
		ctx         context.Context
		fence, slot string
	}{
		{(&lent{fence: 1<<53 - 1, slot: 77}).under(t.Context(), tt), "9007199254740991", "77"},
		{(&lent{}).under(t.Context(), tt), "", ""},
		{t.Context(), "", ""}, // outside a node
	} {
		err := h(c.ctx, tt)
		want := strings.Join([]string{
			"7; rm -rf /", "/$(shop)", "email.send", "mail", "", "text/plain", "2026-03-01T12:00:00Z", traceParent, "a=b", "2", "3", "4", c.fence, c.slot,
			"`blue`", "kept", "yes", "unset",
		}, "\n")
		if err == nil || !strings.HasSuffix(err.Error(), "exit status 1: "+want) {
			t.Errorf("the command saw %v, want\n%s", err, want)
		}
	}
}

func TestExecAttributeThatDoesNotFitIsPermanent(t *testing.T) {
	tt := someTask()
	tt.ID = "a\x00b"
	if err := newExec(t, 0, "exit", "0")(t.Context(), tt); outcomeOf(err) != permanent {
		t.Errorf("outcome is %v, want a permanent failure", err)
	}
}

func TestExecEndsWithItsContext(t *testing.T) {
	lost := errors.New("lease lost")
	for _, c := range []struct {
		name  string
		child string
		grace time.Duration
	}{
		{"a command that dies of SIGTERM", "wait", time.Minute},
		{"a command that exits with 0 at SIGTERM", "obey", time.Minute},
		{"a command whose child exits at SIGTERM", "parent-of-obey", time.Minute},
		{"a command that ignores SIGTERM", "stubborn", time.Millisecond},
		{"a command whose child ignores SIGTERM", "parent-of-stubborn", 100 * time.Millisecond},
		{"a command whose child ignores SIGTERM and holds no pipe", "parent-of-quiet", time.Minute},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := newMeeting(t)
			ctx, cancel := context.WithCancelCause(t.Context())
			defer cancel(nil)
			done := make(chan error, 1)
			h := newExec(t, c.grace, c.child, m.address)
			tt, run := someTask(), &lent{}
			go func() { done <- h(run.under(ctx, tt), tt) }()
			seen := m.await(t, members(c.child))
			cancel(lost)
			select {
			case err := <-done:
				if !errors.Is(err, lost) || outcomeOf(err) != retry {
					t.Errorf("error is %v, want a failure because of %v", err, lost)
				}
			case <-time.After(patience):
				t.Fatal("the handler did not return")
			}
			run.expect(t, "")
			for _, p := range seen {
				if p.name == "obey" {
					if line, err := p.r.ReadString('\n'); line != "told to end\n" {
						t.Errorf("a process that obeys SIGTERM did not get it (%q, %v)", line, err)
					}
				}
				p.awaitDeath(t)
			}
		})
	}
}

func TestExecLeavesNothingBehind(t *testing.T) {
	for _, child := range []string{"leave-stubborn", "leave-quiet"} {
		t.Run(child, func(t *testing.T) {
			m := newMeeting(t)
			done := make(chan error, 1)
			h := newExec(t, 100*time.Millisecond, child, m.address)
			tt, run := someTask(), &lent{}
			go func() { done <- h(run.under(t.Context(), tt), tt) }()
			seen := m.await(t, members(child))
			for _, p := range seen {
				if p.name == child {
					p.conn.Write([]byte{1})
				}
			}
			if err := <-done; err != nil {
				t.Errorf("the command exited with 0, but: %v", err)
			}
			run.expect(t, "left")
			for _, p := range seen {
				p.awaitDeath(t)
			}
		})
	}
}

func TestExecCommandDiesWithTheNode(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux ties a child's life to its parent's")
	}
	m := newMeeting(t)
	node := exec.Command(os.Args[0], "node", m.address)
	node.Env = append(os.Environ(), childVariable+"=1")
	if err := node.Start(); err != nil {
		t.Fatal(err)
	}
	command := m.await(t, 1)[0]
	if err := node.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	node.Wait()
	command.awaitDeath(t)
}

// Exec checks its configuration: a command that can't be executed is an error before any task is consumed. Pitfall 57
// of docs/pitfalls.md.
func TestExecConfigIsChecked(t *testing.T) {
	dir := t.TempDir()
	plain := filepath.Join(dir, "plain.txt")
	if err := os.WriteFile(plain, []byte("#!/bin/sh\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		cfg  ExecConfig
		want string // empty: fine
	}{
		{ExecConfig{Command: []string{"sh", "-c", "true"}}, ""},
		{ExecConfig{Command: []string{"./run"}, Dir: filepath.Join(dir, "sub")}, ""},
		{ExecConfig{}, "command is empty"},
		{ExecConfig{Command: []string{""}}, "command is empty"},
		{ExecConfig{Command: []string{"no-such-program-here"}}, `find command: exec: "no-such-program-here": executable file not found in $PATH`},
		{ExecConfig{Command: []string{plain}}, "permission denied"},
		{ExecConfig{Command: []string{"./run"}, Dir: dir}, "no such file"},
		{ExecConfig{Command: []string{dir}}, "is a directory"},
		{ExecConfig{Command: []string{"sh", "a\x00b"}}, "word 2 of the command has a NUL byte"},
		{ExecConfig{Command: []string{"sh"}, Dir: dir + "/none"}, "find dir"},
		{ExecConfig{Command: []string{"sh"}, Dir: plain}, "not a directory"},
		{ExecConfig{Command: []string{"sh"}, Env: []string{"A"}}, "must be NAME=value"},
		{ExecConfig{Command: []string{"sh"}, Grace: -1}, "negative"},
	} {
		if err := os.MkdirAll(filepath.Join(dir, "sub"), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "sub", "run"), []byte("#!/bin/sh\n"), 0o755); err != nil {
			t.Fatal(err)
		}
		_, err := Exec(c.cfg)
		if (c.want == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: error is %v, want %q", c.cfg, err, c.want)
		}
	}
}

func TestExecRunsInItsDirectory(t *testing.T) {
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	h, err := Exec(ExecConfig{Command: []string{"sh", "-c", "pwd >&2; exit 1"}, Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	if err := h(t.Context(), someTask()); err == nil || err.Error() != "run sh: exit status 1: "+dir {
		t.Errorf("error is %v, want %s in it", err, dir)
	}
}

// A meeting is where the processes of a test report. Each keeps its connection as long as it lives, so the end of the
// connection is the end of the process.
type meeting struct {
	address string
	ln      *net.UnixListener
}

type process struct {
	name string
	conn net.Conn
	r    *bufio.Reader
}

func newMeeting(t *testing.T) *meeting {
	t.Helper()
	dir, err := os.MkdirTemp("", "meet") // t.TempDir is too long for a socket's address
	if err != nil {
		t.Fatal(err)
	}
	address := filepath.Join(dir, "s")
	ln, err := net.ListenUnix("unix", &net.UnixAddr{Name: address, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close(); os.RemoveAll(dir) })
	return &meeting{address, ln}
}

// await returns the next n processes that report.
func (m *meeting) await(t *testing.T, n int) []process {
	t.Helper()
	m.ln.SetDeadline(time.Now().Add(patience))
	var all []process
	for range n {
		conn, err := m.ln.Accept()
		if err != nil {
			t.Fatalf("await process: %v", err)
		}
		t.Cleanup(func() { conn.Close() })
		conn.SetDeadline(time.Now().Add(patience))
		r := bufio.NewReader(conn)
		name, err := r.ReadString('\n')
		if err != nil {
			t.Fatalf("await process: %v", err)
		}
		all = append(all, process{strings.TrimSpace(name), conn, r})
	}
	return all
}

func (p process) awaitDeath(t *testing.T) {
	t.Helper()
	p.conn.SetDeadline(time.Now().Add(patience))
	if _, err := p.r.ReadByte(); !errors.Is(err, io.EOF) {
		t.Errorf("process %q is still alive (%v)", p.name, err)
	}
}
