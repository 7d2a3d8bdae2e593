package testenv_test

import (
	"bufio"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/tasktier/tasktier/internal/testenv"
)

func TestServersDieWithAKilledProcess(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("only Linux has a parent-death signal")
	}
	testenv.Redis(t) // installs, or skips the test
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), childVariable+"=1", "TMPDIR="+t.TempDir()) // it can't tidy up
	child.Stderr = os.Stderr
	out, err := child.StdoutPipe()
	must(t, err)
	must(t, child.Start())
	defer func() { _ = child.Wait() }() // killed below, or on the way out
	defer func() { _ = child.Process.Kill() }()
	line, err := bufio.NewReader(out).ReadString('\n')
	must(t, err)
	addrs := strings.Fields(line)
	if len(addrs) != 3 {
		t.Fatalf("the child says %q", line)
	}
	for _, addr := range addrs {
		conn, err := net.Dial("tcp", addr)
		must(t, err)
		must(t, conn.Close())
	}

	must(t, child.Process.Kill())

	deadline := time.Now().Add(10 * time.Second)
	for _, addr := range addrs {
		for {
			conn, err := net.Dial("tcp", addr)
			if err != nil {
				break
			}
			_ = conn.Close()
			if time.Now().After(deadline) {
				t.Fatalf("%s still answers after its parent was killed", addr)
			}
			time.Sleep(10 * time.Millisecond) // between polls
		}
	}
}

func TestServerThatCannotStartSaysWhy(t *testing.T) {
	t.Parallel()
	server := testenv.StartRedis(t)
	must(t, server.Kill())
	squatter, err := net.Listen("tcp", server.Addr())
	must(t, err)
	err = server.Start()
	must(t, squatter.Close())
	if err == nil || !strings.Contains(err.Error(), "Address already in use") || !strings.Contains(err.Error(), server.LogFile()) {
		t.Fatalf("a server whose port is taken: %v, want its log's last lines and path", err)
	}
	must(t, server.Start())
}

func TestStoppedServerCannotBePaused(t *testing.T) {
	server := testenv.StartRedis(t)
	must(t, server.Kill())
	must(t, server.Kill()) // twice is once
	must(t, server.Stop())
	if err := server.Pause(); err == nil {
		t.Error("a server that is not running was paused")
	}
	must(t, server.Restart())
}

func TestPausedServerStops(t *testing.T) {
	server := testenv.StartRedis(t)
	must(t, server.Pause())
	must(t, server.Resume())
	must(t, redisClient(t, server.Addr()).Ping(limit(t)).Err())
	must(t, server.Pause())
	must(t, server.Stop())
}
