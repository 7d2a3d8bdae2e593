package testenv

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

func TestStackVariable(t *testing.T) {
	for value, want := range map[string]struct{ embedded, bad bool }{
		"":         {},
		"real":     {},
		"embedded": {embedded: true},
		"embeded":  {bad: true},
	} {
		embedded, err := embeddedOnly(value)
		if embedded != want.embedded || (err != nil) != want.bad {
			t.Errorf("%q: embedded %t, error %v, want %+v", value, embedded, err, want)
		}
	}
}

func TestEmbeddedStackSkips(t *testing.T) {
	t.Setenv(stackVariable, stackEmbedded)
	var skipped bool
	t.Run("", func(t *testing.T) {
		defer func() { skipped = t.Skipped() }()
		Kafka(t)
	})
	if !skipped {
		t.Error("a test that needs a real Kafka was not skipped")
	}
}

func TestMissingToolNamesTheCommand(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	t.Setenv("JAVA_HOME", "")
	for name := range packages {
		_, err := tool(name)
		if err == nil || !strings.Contains(err.Error(), "apt-get install -y") || !strings.Contains(err.Error(), packages[name]) {
			t.Errorf("without %s: %v, want the command that installs it", name, err)
		}
	}
}

func TestCacheIsBuiltOnceAndWhole(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", t.TempDir()) // Linux
	t.Setenv("HOME", t.TempDir())           // elsewhere
	broken := errors.New("broken")
	if _, err := cached("thing", func(dir string) error {
		must(t, os.WriteFile(filepath.Join(dir, "half"), nil, 0o644))
		return broken
	}); !errors.Is(err, broken) {
		t.Fatalf("a build that fails: %v", err)
	}

	var builds atomic.Int32
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			dir, err := cached("thing", func(dir string) error {
				builds.Add(1)
				if exists(filepath.Join(dir, "half")) {
					t.Error("built on top of what a failed build left")
				}
				return os.WriteFile(filepath.Join(dir, "whole"), nil, 0o644)
			})
			if err != nil || !exists(filepath.Join(dir, "whole")) {
				t.Errorf("cached in %q: %v, want the whole folder", dir, err)
			}
		})
	}
	group.Wait()
	if builds.Load() != 1 {
		t.Errorf("built %d times", builds.Load())
	}
}

func TestPortIsOursUntilReleased(t *testing.T) {
	ours, err := reservePort()
	must(t, err)
	if ours.number < firstPort || ours.number > lastPort {
		t.Errorf("port %d is outside %d to %d", ours.number, firstPort, lastPort)
	}
	dir := filepath.Dir(ours.lock.Name())
	if _, err := takePort(dir, ours.number); !errors.Is(err, errPortTaken) {
		t.Errorf("a port was taken twice, though nothing listens on it: %v", err)
	}
	ports{ours}.release()
	again, err := takePort(dir, ours.number)
	must(t, err)
	defer ports{again}.release()
}

func TestPortOfAStrangerIsNotTaken(t *testing.T) {
	stranger, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer stranger.Close()
	number := stranger.Addr().(*net.TCPAddr).Port
	if _, err := takePort(t.TempDir(), number); !errors.Is(err, errPortTaken) {
		t.Errorf("took the port of a server that listens: %v", err)
	}
}

func TestKafkaVersionIsRead(t *testing.T) {
	version, err := kafkaVersion()
	if err != nil || !strings.HasPrefix(version, "4.") {
		t.Errorf("version %q, %v", version, err)
	}
}

func TestUniqueNames(t *testing.T) {
	t.Run("with / and ä", func(t *testing.T) {
		a, b := Unique(t), Unique(t)
		if a == b || notInName.MatchString(a) {
			t.Errorf("names %q and %q", a, b)
		}
	})
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
