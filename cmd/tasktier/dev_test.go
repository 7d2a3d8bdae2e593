package main

import (
	"bytes"
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// One process may run the command any number of times: it leaves no goroutine and no folder behind.
func TestDevLeavesNothingBehind(t *testing.T) {
	verifyNoLeaks(t)
	temporary := t.TempDir()
	t.Setenv("TMPDIR", temporary)
	t.Chdir(t.TempDir())
	var stdout, stderr bytes.Buffer
	code := run(t.Context(), []string{"dev", "--tasks", "-", "--exit-when-done"}, strings.NewReader(plainLines(0)+`{"id":"1","type":"demo.echo"}`), &stdout, &stderr)
	if code != exitDone || strings.Count(stdout.String(), "succeeded") != 1 {
		t.Errorf("exit code %d\n%s%s", code, &stdout, &stderr)
	}
	if left, err := filepath.Glob(temporary + "/*"); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v (%v)", left, err)
	}
}

// What ends the context ends the command, like a signal.
func TestDevEndsWithItsContext(t *testing.T) {
	verifyNoLeaks(t)
	t.Setenv("TMPDIR", t.TempDir())
	t.Chdir(t.TempDir())
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	in, out := io.Pipe()
	defer out.Close()
	var stdout, stderr bytes.Buffer
	ended := make(chan int)
	go func() {
		ended <- run(ctx, []string{"dev", "--tasks", "-", "--exit-when-done"}, in, writer(func(b []byte) {
			stdout.Write(b)
			cancel() // the first task has ended; the file has not
		}), &stderr)
	}()
	if _, err := io.WriteString(out, `{"id":"1","type":"demo.echo"}`+"\n"); err != nil {
		t.Fatal(err)
	}
	if code := <-ended; code != exitInterrupted || !strings.Contains(stderr.String(), "tasktier: interrupted at line 1, when 1 had been sent\n") {
		t.Errorf("exit code %d\n%s%s", code, &stdout, &stderr)
	}
}

// The address book of a data folder is for its owner alone: it says where an open Kafka listens.
func TestDevWritesItsConfigPrivately(t *testing.T) {
	verifyNoLeaks(t)
	t.Chdir(t.TempDir())
	var stderr bytes.Buffer
	if code := run(t.Context(), []string{"dev", "--data", "d", "--tasks", "-", "--exit-when-done"}, strings.NewReader(""), io.Discard, &stderr); code != exitDone {
		t.Fatalf("exit code %d\n%s", code, &stderr)
	}
	info, err := os.Stat("d/tasktier.yaml")
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v (%v)", info, err)
	}
}

type writer func([]byte)

func (w writer) Write(b []byte) (int, error) { w(b); return len(b), nil }
