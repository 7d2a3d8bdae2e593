package testenv

import (
	"fmt"
	"os"
	"path/filepath"

	"go.etcd.io/etcd/client/pkg/v3/fileutil"
)

// Cached returns the folder of the given name in the cache that the tests' pieces are kept in, across runs and processes.
// build fills it once; what it makes must bear being renamed. The name must change with whatever the contents are made
// from.
func Cached(name string, build func(dir string) error) (string, error) { return cached(name, build) }

// cached returns the cache folder of the given name, which build fills once for
// all processes and for good. A folder is seen only when it is complete: it is
// built beside its place and renamed. Whoever comes while another process
// builds waits for it.
func cached(name string, build func(dir string) error) (string, error) {
	root, err := cacheDir()
	if err != nil {
		return "", err
	}
	final := filepath.Join(root, name)
	if _, err := os.Stat(final); err == nil {
		return final, nil
	}
	lock, err := fileutil.LockFile(final+".lock", os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return "", fmt.Errorf("lock cache folder %s: %w", final, err)
	}
	defer lock.Close()
	if _, err := os.Stat(final); err == nil {
		return final, nil // built while we waited
	}
	partial := final + ".partial"
	if err := os.RemoveAll(partial); err != nil { // of a build that was killed
		return "", err
	}
	if err := os.Mkdir(partial, 0o755); err != nil {
		return "", err
	}
	if err := build(partial); err != nil {
		return "", err
	}
	if err := os.Rename(partial, final); err != nil {
		return "", err
	}
	return final, nil
}

func cacheDir() (string, error) {
	base, err := os.UserCacheDir()
	if err != nil {
		base = os.TempDir() // no home: a build daemon
	}
	dir := filepath.Join(base, "tasktier-testenv")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", fmt.Errorf("make cache folder: %w", err)
	}
	return dir, nil
}

// announce tells a person why the first run takes long. go test shows it with
// -v or when the package fails.
func announce(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "testenv: "+format+"\n", args...)
}
