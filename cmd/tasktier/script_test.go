package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/rogpeppe/go-internal/testscript"
	"github.com/tasktier/tasktier/config"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// patience bounds what a script waits for, on a machine that does much else.
const patience = 30 * time.Second

// processes is the key of a script's background processes.
type processes struct{}

type process struct {
	cmd   *exec.Cmd
	ended chan struct{}
}

// start NAME ARGS… runs tasktier in the background, with its output in the files NAME.out and NAME.err.
func (in *inside) start(ts *testscript.TestScript, _ bool, args []string) {
	name := args[0]
	cmd := exec.Command(lookPath(ts, "tasktier"), args[1:]...)
	cmd.Dir = ts.MkAbs(".")
	cmd.Env = append(slices.Clone(in.environment), "PATH="+ts.Getenv("PATH"), "TMPDIR="+ts.Getenv("TMPDIR"), "HOME="+ts.Getenv("HOME"), "GORACE="+raceOptions)
	stdout, err := os.Create(ts.MkAbs(name + ".out"))
	ts.Check(err)
	stderr, err := os.Create(ts.MkAbs(name + ".err"))
	ts.Check(err)
	cmd.Stdout, cmd.Stderr = stdout, stderr
	ts.Check(cmd.Start())
	p := &process{cmd: cmd, ended: make(chan struct{})}
	go func() { // ends with the process, which the script ends
		cmd.Wait() //nolint:errcheck // the state says it
		stdout.Close()
		stderr.Close()
		close(p.ended)
	}()
	ts.Value(processes{}).(map[string]*process)[name] = p
	ts.Defer(func() {
		cmd.Process.Kill() //nolint:errcheck // it may be gone
		<-p.ended
	})
}

func lookPath(ts *testscript.TestScript, program string) string {
	for _, dir := range filepath.SplitList(ts.Getenv("PATH")) {
		if path := filepath.Join(dir, program); fileExists(path) {
			return path
		}
	}
	ts.Fatalf("%s is not on the path", program)
	return ""
}

func fileExists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// signal NAME SIGNAL sends a signal, INT or TERM, to a background process.
func signalTo(ts *testscript.TestScript, _ bool, args []string) {
	sig, ok := map[string]os.Signal{"INT": os.Interrupt, "TERM": syscall.SIGTERM}[args[1]]
	if !ok {
		ts.Fatalf("unknown signal %s", args[1])
	}
	ts.Check(ts.Value(processes{}).(map[string]*process)[args[0]].cmd.Process.Signal(sig))
}

// end NAME SIGNAL CODE sends a signal to a background process and wants it to end with that exit code.
func finish(ts *testscript.TestScript, neg bool, args []string) {
	signalTo(ts, neg, args[:2])
	p := ts.Value(processes{}).(map[string]*process)[args[0]]
	select {
	case <-p.ended:
	case <-time.After(patience):
		ts.Fatalf("%s has not ended after %v; its stderr:\n%s", args[0], patience, ts.ReadFile(args[0]+".err"))
	}
	if code := strconv.Itoa(p.cmd.ProcessState.ExitCode()); code != args[2] {
		ts.Fatalf("exit code %s, want %s; its stderr:\n%s", code, args[2], ts.ReadFile(args[0]+".err"))
	}
}

// await FILE TEXT waits until the file has the text.
func await(ts *testscript.TestScript, _ bool, args []string) {
	var content []byte
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		content, _ = os.ReadFile(ts.MkAbs(args[0]))
		if bytes.Contains(content, []byte(args[1])) {
			return
		}
	}
	ts.Fatalf("%s has no %q after %v:\n%s", args[0], args[1], patience, content)
}

// adds-up FILE wants the lines of 'dev -o json' in the file to agree with the summary at the end, and that to add up.
func addsUp(ts *testscript.TestScript, _ bool, args []string) {
	ended, dead := map[string]bool{}, 0
	var last struct{ Summary *devSummary }
	scan := bufio.NewScanner(strings.NewReader(ts.ReadFile(args[0])))
	for scan.Scan() {
		last.Summary = nil
		ts.Check(json.Unmarshal(scan.Bytes(), &last))
		if last.Summary != nil {
			continue
		}
		var e end
		ts.Check(json.Unmarshal(scan.Bytes(), &e))
		if who := e.Source + "\x00" + e.ID; e.State.Terminal() && !ended[who] {
			ended[who] = true
			if e.State == "dead" {
				dead++
			}
		}
	}
	s := last.Summary
	if s == nil {
		ts.Fatalf("the last line is no summary")
	}
	reasons := 0
	for _, n := range s.Reasons {
		reasons += n
	}
	if s.Lines != s.Sent+s.Bad+s.Failed || s.Sent != s.Succeeded+s.Dead+s.Duplicates+s.Unfinished || reasons != s.Dead {
		ts.Fatalf("it does not add up: %+v", *s)
	}
	if len(ended) != s.Succeeded+s.Dead || dead != s.Dead {
		ts.Fatalf("%d tasks ended, %d of them dead, but the summary is %+v", len(ended), dead, *s)
	}
}

// alter CONFIG TOPIC NAME=VALUE changes a topic's setting behind tasktier's back.
func alter(ts *testscript.TestScript, _ bool, args []string) {
	adm, closeClient := admin(ts, args[0])
	defer closeClient()
	name, value, _ := strings.Cut(args[2], "=")
	_, err := adm.AlterTopicConfigs(context.Background(), []kadm.AlterConfig{{Op: kadm.SetConfig, Name: name, Value: &value}}, args[1])
	ts.Check(err)
}

// commit CONFIG GROUP TOPIC [OFFSET] commits an offset, 0 by default, of partition 0 for a consumer group that nobody is in.
func commit(ts *testscript.TestScript, _ bool, args []string) {
	adm, closeClient := admin(ts, args[0])
	defer closeClient()
	at := 0
	if len(args) > 3 {
		var err error
		at, err = strconv.Atoi(args[3])
		ts.Check(err)
	}
	offsets := kadm.Offsets{}
	offsets.AddOffset(args[2], 0, int64(at), -1)
	ts.Check(adm.CommitAllOffsets(context.Background(), args[1], offsets))
}

// forget CONFIG GROUP has Kafka forget a consumer group that nobody is in, as it does after a week.
func forget(ts *testscript.TestScript, _ bool, args []string) {
	adm, closeClient := admin(ts, args[0])
	defer closeClient()
	_, err := adm.DeleteGroup(context.Background(), args[1])
	ts.Check(err)
}

// publish CONFIG TOPIC VALUE writes a record as others would.
func publish(ts *testscript.TestScript, _ bool, args []string) {
	cfg, err := config.Load(ts.MkAbs(args[0]), nil)
	ts.Check(err)
	opts, err := cfg.Kafka.Options()
	ts.Check(err)
	client, err := kgo.NewClient(opts...)
	ts.Check(err)
	defer client.Close()
	ts.Check(client.ProduceSync(context.Background(), &kgo.Record{Topic: args[1], Value: []byte(args[2])}).FirstErr())
}

// wait-for N ARGS… runs tasktier until it prints N lines.
func (in *inside) waitFor(ts *testscript.TestScript, _ bool, args []string) {
	out := ""
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		var stdout, stderr bytes.Buffer
		if code := in.run(ts, args[1:], &stdout, &stderr); code != exitDone {
			ts.Fatalf("exit code %d\n%s", code, &stderr)
		}
		if out = stdout.String(); strconv.Itoa(strings.Count(out, "\n")) == args[0] {
			return
		}
	}
	ts.Fatalf("it does not print %s lines after %v, but:\n%s", args[0], patience, out)
}

func admin(ts *testscript.TestScript, file string) (*kadm.Client, func()) {
	cfg, err := config.Load(ts.MkAbs(file), nil)
	ts.Check(err)
	opts, err := cfg.Kafka.Options()
	ts.Check(err)
	client, err := kgo.NewClient(opts...)
	ts.Check(err)
	return kadm.NewClient(client), client.Close
}

// port NAME sets a variable to the port of an address where nobody listens.
func port(ts *testscript.TestScript, _ bool, args []string) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	ts.Check(err)
	ts.Check(l.Close())
	ts.Setenv(args[0], strconv.Itoa(l.Addr().(*net.TCPAddr).Port))
}

// without FILE SECTION removes a section from a configuration.
func without(ts *testscript.TestScript, _ bool, args []string) {
	sections := map[string]any{}
	ts.Check(yaml.Unmarshal([]byte(ts.ReadFile(args[0])), &sections))
	delete(sections, args[1])
	text, err := yaml.Marshal(sections)
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), text, 0o644))
}
