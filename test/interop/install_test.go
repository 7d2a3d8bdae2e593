package interop

import (
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/tasktier/tasktier/internal/testenv"
)

const interopVariable = "TASKTIER_TEST_INTEROP"

// needPublishers skips the test where a person asked to do without the other languages.
func needPublishers(t *testing.T) {
	t.Helper()
	switch value := os.Getenv(interopVariable); value {
	case "", "on":
	case "off":
		t.Skipf("needs Python, Node and Java, and %s=off asks to leave such tests out", interopVariable)
	default:
		t.Fatalf("read %s: %q is neither on (the default) nor off", interopVariable, value)
	}
}

// A publisher is a program that sends the cases with a foreign library.
type publisher struct {
	name    string
	modes   []string
	command []string // what its arguments are appended to
	env     []string // beside this process's
}

var (
	both    = []string{"binary", "structured"}
	andJSON = []string{"binary", "structured", "plain"}
)

func installPublishers(t *testing.T) []publisher {
	t.Helper()
	if testing.Short() {
		return []publisher{sdkGo(t)} // ./check long has all languages
	}
	needPublishers(t)
	return []publisher{
		python(t, "python-2.2", "v2", andJSON),
		python(t, "python-1.13", "v1", both),
		node(t),
		java(t),
		sdkGo(t),
	}
}

func python(t *testing.T, name, version string, modes []string) publisher {
	t.Helper()
	interpreter, lock := tool(t, "python3"), "python/requirements-"+version+".txt"
	// A virtual environment belongs to the Python that made it.
	of := output(t, exec.Command(interpreter, "-c", "import sys; print(sys.version, sys.base_prefix)"))
	dir := installed(t, name, of, []string{lock}, func(dir string) []*exec.Cmd {
		return []*exec.Cmd{
			exec.Command(interpreter, "-m", "venv", dir),
			exec.Command(filepath.Join(dir, "bin", "python"), "-m", "pip", "install", "--quiet",
				"--disable-pip-version-check", "--no-deps", "-r", lock),
		}
	})
	return publisher{
		name: name, modes: modes,
		command: []string{filepath.Join(dir, "bin", "python"), "python/publish_" + version + ".py"},
		env:     []string{"PYTHONDONTWRITEBYTECODE=1"},
	}
}

func node(t *testing.T) publisher {
	t.Helper()
	interpreter, npm := tool(t, "node"), tool(t, "npm")
	files := []string{"node/package.json", "node/package-lock.json"}
	dir := installed(t, "node", "", files, func(dir string) []*exec.Cmd {
		return []*exec.Cmd{
			exec.Command("cp", append(files, dir)...),
			exec.Command(npm, "ci", "--prefix", dir, "--ignore-scripts", "--no-audit", "--no-fund"),
		}
	})
	return publisher{
		name: "node", modes: andJSON,
		command: []string{interpreter, "node/publish.js"},
		env:     []string{"NODE_PATH=" + filepath.Join(dir, "node_modules")},
	}
}

func java(t *testing.T) publisher {
	t.Helper()
	vm, mvn, javac := tool(t, "java"), tool(t, "mvn"), tool(t, "javac")
	files := []string{"java/pom.xml", "java/Publish.java"}
	dir := installed(t, "java", "", files, func(dir string) []*exec.Cmd {
		return []*exec.Cmd{
			exec.Command(mvn, "-q", "-B", "-f", files[0], "dependency:copy-dependencies",
				"-DincludeScope=runtime", "-DoutputDirectory="+filepath.Join(dir, "lib")),
			exec.Command(javac, "--release", "11", "-cp", filepath.Join(dir, "lib", "*"), "-d", filepath.Join(dir, "classes"), files[1]),
		}
	})
	classpath := filepath.Join(dir, "lib", "*") + string(filepath.ListSeparator) + filepath.Join(dir, "classes")
	return publisher{
		name: "java", modes: both,
		command: []string{vm, "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp", classpath, "Publish"},
	}
}

func sdkGo(t *testing.T) publisher {
	t.Helper()
	program := filepath.Join(t.TempDir(), "publish")
	build := exec.Command("go", "build", "-o", program, ".")
	build.Dir = "go-sdk"
	build.Env = append(os.Environ(), "GOWORK=off")
	output(t, build)
	return publisher{name: "go", modes: both, command: []string{program}}
}

// publish runs the program once. It returns what to tell a person when that failed.
func (p publisher) publish(brokers, topic, mode, prefix string) error {
	args := append(p.command[1:len(p.command):len(p.command)], brokers, topic, mode, prefix, "cases.json")
	cmd := exec.Command(p.command[0], args...)
	cmd.Env = append(os.Environ(), p.env...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("publish with %s in %s mode: %w\n%s", p.name, mode, err, out)
	}
	return nil
}

// installed returns the cache folder of a publisher's packages, which the commands fill. It is named after the
// publisher and what its contents are made from.
func installed(t *testing.T, name, of string, files []string, commands func(dir string) []*exec.Cmd) string {
	t.Helper()
	h := sha256.New()
	fmt.Fprintln(h, of)
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		h.Write(b)
	}
	dir, err := testenv.Cached(fmt.Sprintf("interop-%s-%x", name, h.Sum(nil)[:4]), func(dir string) error {
		for _, cmd := range commands(dir) {
			if out, err := cmd.CombinedOutput(); err != nil {
				return fmt.Errorf("%v: %w\n%s", cmd, err, out)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatalf("install the publisher %s: %v", name, err)
	}
	return dir
}

func tool(t *testing.T, name string) string {
	t.Helper()
	path, err := testenv.Tool(name)
	if err != nil {
		t.Fatalf("%v; %s=off leaves the publishers out", err, interopVariable)
	}
	return path
}

func output(t *testing.T, cmd *exec.Cmd) string {
	t.Helper()
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %v\n%s", cmd, err, out)
	}
	return string(out)
}
