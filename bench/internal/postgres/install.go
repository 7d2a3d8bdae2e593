package postgres

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
)

// install returns the folder of the server's programs. Debian keeps them off PATH, in a folder by version.
func install(ctx context.Context) (string, error) {
	if dir := find(); dir != "" {
		return dir, nil
	}
	const command = "apt-get install -y postgresql"
	apt, err := exec.LookPath("apt-get")
	if err != nil || os.Geteuid() != 0 {
		return "", errors.New("find postgres: it is not installed; the benchmarks of peers need it: " + command)
	}
	fmt.Fprintln(os.Stderr, "postgres: installing postgresql")
	out, err := aptGet(ctx, apt, "install", "-y", "--no-install-recommends", "postgresql")
	if err != nil {
		// The package lists may be missing or old.
		if _, err := aptGet(ctx, apt, "update"); err == nil {
			out, err = aptGet(ctx, apt, "install", "-y", "--no-install-recommends", "postgresql")
			if err != nil {
				return "", fmt.Errorf("install postgres: %s: %w:\n%s", command, err, out)
			}
		}
	}
	dir := find()
	if dir == "" {
		return "", fmt.Errorf("install postgres: not found after %s:\n%s", command, out)
	}
	return dir, nil
}

func find() string {
	places, _ := filepath.Glob("/usr/lib/postgresql/*/bin/postgres") // the pattern is well-formed
	if len(places) > 0 {
		return filepath.Dir(places[len(places)-1])
	}
	if path, err := exec.LookPath("postgres"); err == nil {
		return filepath.Dir(path)
	}
	return ""
}

func aptGet(ctx context.Context, apt string, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, apt, args...)
	// In run level 1 Debian's packages start no service.
	cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive", "RUNLEVEL=1")
	return cmd.CombinedOutput()
}

// owner is whom the server runs as: this user, or, for root, the package's own user or nobody.
func owner() (*syscall.Credential, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		u, err = user.Lookup("nobody")
	}
	if err != nil {
		return nil, fmt.Errorf("find a user that is not root: %w", err)
	}
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		return nil, err
	}
	gid, err := strconv.ParseUint(u.Gid, 10, 32)
	if err != nil {
		return nil, err
	}
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
}
