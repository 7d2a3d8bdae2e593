package testenv

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"go.etcd.io/etcd/client/pkg/v3/fileutil"
)

// packages names the Debian package of each program that is needed.
var packages = map[string]string{
	"java":         "openjdk-17-jre-headless",
	"mvn":          "maven",
	"redis-server": "redis-server",

	// For the publishers of test/interop.
	"javac":   "openjdk-17-jdk-headless",
	"python3": "python3-venv", // which brings Python; Debian's alone can't make virtual environments
	"node":    "nodejs",
	"npm":     "npm",
}

const installAll = "apt-get install -y openjdk-17-jre-headless maven redis-server openjdk-17-jdk-headless python3-venv nodejs npm"

// Tool returns the path of a program that tests need besides the servers: java, javac, mvn, python3 (one that can make
// virtual environments), node or npm. One that is missing is installed where that can be done without asking;
// otherwise the error names the command.
func Tool(name string) (string, error) { return tool(name) }

// tool returns the path of a program. One that is missing is installed where
// that needs no password.
func tool(name string) (string, error) {
	if path, err := lookTool(name); err == nil {
		return path, nil
	}
	missing := func(cause string) error {
		return fmt.Errorf("find %s: %s; install what the tests need with: %s (or set %s=%s to skip the tests that need it)",
			name, cause, installAll, stackVariable, stackEmbedded)
	}
	apt, err := exec.LookPath("apt-get")
	if err != nil || os.Geteuid() != 0 {
		return "", missing("not on PATH")
	}
	root, err := cacheDir()
	if err != nil {
		return "", err
	}
	// apt-get has a lock too, but a second one fails on it at once.
	lock, err := fileutil.LockFile(filepath.Join(root, "apt.lock"), os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return "", fmt.Errorf("lock installation: %w", err)
	}
	defer lock.Close()
	if path, err := lookTool(name); err == nil {
		return path, nil // installed while we waited
	}
	announce("installing %s", packages[name])
	if out, err := aptGet(apt, "install", "-y", packages[name]); err != nil {
		// The package lists may be missing or old.
		if _, err := aptGet(apt, "update"); err != nil {
			return "", missing("apt-get: " + lastLine(out))
		}
		if out, err := aptGet(apt, "install", "-y", packages[name]); err != nil {
			return "", missing("apt-get: " + lastLine(out))
		}
	}
	path, err := lookTool(name)
	if err != nil {
		return "", missing("not on PATH after its installation")
	}
	return path, nil
}

// lookTool looks on PATH, and for Java first where JAVA_HOME says.
func lookTool(name string) (string, error) {
	if home := os.Getenv("JAVA_HOME"); home != "" && (name == "java" || name == "javac") {
		if path, err := exec.LookPath(filepath.Join(home, "bin", name)); err == nil {
			return path, nil
		}
	}
	path, err := exec.LookPath(name)
	if err == nil && name == "python3" {
		if err := exec.Command(path, "-c", "import ensurepip, venv").Run(); err != nil {
			return "", fmt.Errorf("%s can't make virtual environments: %w", path, err)
		}
	}
	return path, err
}

func aptGet(apt string, args ...string) (string, error) {
	cmd := exec.Command(apt, args...)
	// A package of a server may start it as a service; in run level 1 Debian's
	// packages leave that. Where one starts all the same it does no harm: the
	// tests use their own process on another port.
	cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive", "RUNLEVEL=1")
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func lastLine(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return lines[len(lines)-1]
}
