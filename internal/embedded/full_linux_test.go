package embedded_test

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/tasktier/tasktier/internal/embedded"
)

// ownMounts says that this process has mounts of its own.
const ownMounts = "EMBEDDED_TEST_MOUNTS"

// TestFullDataFolder fills the file system of a data folder under a stack at work. Records are refused until there is room
// again, and the log says why. Etcd can't go on without, and ends the process, with the reason. When there is room, all is
// there that was acknowledged.
func TestFullDataFolder(t *testing.T) {
	t.Parallel()
	if os.Getenv(ownMounts) == "" {
		againWithOwnMounts(t)
		return
	}
	dir := t.TempDir()
	must(t, syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""))
	must(t, syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=200m"))
	t.Cleanup(func() { must(t, syscall.Unmount(dir, 0)) }) // after the stack's own
	data, ballast := filepath.Join(dir, "data"), filepath.Join(dir, "ballast")
	log, err := os.Create(filepath.Join(t.TempDir(), "log")) // where there is room
	must(t, err)
	defer log.Close()
	ctx := limit(t)

	f := &filling{kept: make(map[string]bool)}
	addrs, kill := childThatLogs(t, data, log)
	c := connect(t, addrs)
	c.createTopic(ctx, t, nil)
	if refused := f.records(ctx, t, c, 20); refused > 0 {
		t.Fatalf("with room left %d records were refused", refused)
	}
	for range 2 {
		must(t, weigh(ballast))
		if refused := f.records(ctx, t, c, 100); refused < 50 {
			t.Errorf("without room %d of 100 records were refused", refused)
		}
		must(t, os.Remove(ballast))
		if refused := f.records(ctx, t, c, 20); refused > 0 {
			t.Errorf("with room again %d records were refused", refused)
		}
	}
	must(t, weigh(ballast))
	f.records(ctx, t, c, 20)
	f.keys(ctx, c)
	c.close()
	kill()
	said, err := os.ReadFile(log.Name())
	must(t, err)
	for _, words := range []string{"the data folder is full", "failed to commit tx", syscall.ENOSPC.Error()} {
		if !strings.Contains(string(said), words) {
			t.Errorf("the log does not say %q", words)
		}
	}
	t.Logf("%d records and %d keys were acknowledged", len(f.kept), f.version)

	must(t, os.Remove(ballast))
	_, addrs = start(t, embedded.Config{DataDir: data})
	c = connect(t, addrs)
	found := c.records(ctx, t)
	for value := range f.kept {
		if !slices.Contains(found, value) {
			t.Errorf("record %.20s was acknowledged and is lost", value)
		}
	}
	if got := c.committed(ctx, t, "group"); got.At > f.committed {
		t.Errorf("offset %d is committed, and %d was", got.At, f.committed)
	}
	got, err := c.etcd.Get(ctx, "key", clientv3.WithPrefix())
	must(t, err)
	if int64(len(got.Kvs)) < f.version {
		t.Errorf("etcd holds %d keys, and %d were acknowledged", len(got.Kvs), f.version)
	}
	c.produce(ctx, t, "at last")
}

// A filling is what was written to a stack and acknowledged.
type filling struct {
	kept      map[string]bool // records
	committed int64
	version   int64 // of etcd's last key
}

// records writes records, large ones and small ones, and after each a commit. It returns how many were refused.
func (f *filling) records(ctx context.Context, t *testing.T, c *clients, n int) (refused int) {
	t.Helper()
	for i := range n {
		raw := make([]byte, []int{10, 4000, 60_000}[i%3])
		rand.Read(raw)
		value := hex.EncodeToString(raw)
		r, err := c.kafka.ProduceSync(ctx, kgo.StringRecord(value)).First()
		if err != nil {
			refused++
			continue
		}
		f.kept[value] = true
		f.committed = r.Offset + 1
		c.commit(ctx, t, "group", f.committed)
	}
	return refused
}

// keys writes keys of etcd until that has gone.
func (f *filling) keys(ctx context.Context, c *clients) {
	for {
		once, cancel := context.WithTimeout(ctx, 5*time.Second)
		_, err := c.etcd.Put(once, fmt.Sprintf("key-%d", f.version+1), strings.Repeat("v", 1000))
		cancel()
		if err != nil {
			return
		}
		f.version++
	}
}

// weigh takes all the room that is left.
func weigh(ballast string) error {
	file, err := os.OpenFile(ballast, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer file.Close()
	for {
		if _, err := file.Write(make([]byte, 4096)); errors.Is(err, syscall.ENOSPC) {
			return nil
		} else if err != nil {
			return err
		}
	}
}

// againWithOwnMounts runs the test in a process that may mount what nobody else sees and what ends with it.
func againWithOwnMounts(t *testing.T) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v", "-test.timeout=2m")
	cmd.Env = append(os.Environ(), ownMounts+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS}
	if os.Geteuid() != 0 { // who is root in a name space of users may mount in one of mounts
		cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}}
	}
	cmd.WaitDelay = time.Second // a process that it has left behind has its output
	out, err := cmd.CombinedOutput()
	if errors.Is(err, os.ErrPermission) || errors.Is(err, syscall.EINVAL) || errors.Is(err, syscall.ENOSPC) {
		t.Skipf("this machine lets us have no mounts of our own (%v), and a small file system is what the test needs", err)
	}
	t.Logf("%s", out)
	if err != nil {
		t.Error(err)
	}
}
