package embedded

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"go.etcd.io/etcd/client/pkg/v3/fileutil"
)

// ErrFolderInUse says that another process has the data folder.
var ErrFolderInUse = errors.New("another process uses the data folder")

// lockFolder makes the folder and takes it for this process. The lock goes with
// the process, however it ends. The file stays: to remove it would let a third
// process lock a new file while the second holds the old one.
func lockFolder(dir string) (*fileutil.LockedFile, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("make data folder: %w", err)
	}
	path := filepath.Join(dir, "lock")
	lock, err := fileutil.TryLockFile(path, os.O_CREATE|os.O_RDWR, 0o644)
	if errors.Is(err, fileutil.ErrLocked) {
		return nil, fmt.Errorf("lock %s: %w%s; stop it or give another folder", dir, ErrFolderInUse, holder(path))
	}
	if err != nil {
		return nil, fmt.Errorf("lock data folder: %w", err)
	}
	// For the error message of the next one, so a failure does no harm.
	_ = lock.Truncate(0)
	_, _ = fmt.Fprintln(lock, os.Getpid())
	return lock, nil
}

// holder words the process id in the lock file, if it can be read.
func holder(path string) string {
	text, err := os.ReadFile(path)
	pid := strings.TrimSpace(string(text))
	if err != nil || pid == "" {
		return ""
	}
	return " (process " + pid + ")"
}
