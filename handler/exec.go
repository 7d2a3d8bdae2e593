package handler

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/tasktier/tasktier/consumer"
	"github.com/tasktier/tasktier/task"
)

const (
	// exitDataErr is EX_DATAERR of sysexits.h: the input is wrong and will stay so.
	exitDataErr = 65
	// maxStderr bounds what an error quotes, in bytes: with the words before it, it fits the 4 KiB that a record
	// carries of an error, or its end, which matters most, would be cut off there.
	maxStderr    = 4<<10 - 256
	defaultGrace = 3 * time.Second
)

// ExecConfig says what to run for each task. It comes from the node's own configuration, never from a task.
type ExecConfig struct {
	// Command is the program and its arguments. No shell reads it. A name without a slash is looked up in PATH, a
	// relative path in Dir.
	Command []string
	// Dir is the working directory. Empty: the node's.
	Dir string
	// Env adds variables, each as "NAME=value", to those of the node's own environment. The task's attributes win.
	Env []string
	// Grace is how long a command may go on after it was told to end (SIGTERM) before it is killed (SIGKILL). 0: 3 s.
	Grace time.Duration
}

// Exec returns a handler that runs a command for each task, with the payload on standard input and the attributes in the
// environment:
//
//	TASKTIER_TASK_ID            TASKTIER_TASK_QUEUE        TASKTIER_TASK_CONTENT_TYPE
//	TASKTIER_TASK_SOURCE        TASKTIER_TASK_GENERATION   TASKTIER_TASK_TIME
//	TASKTIER_TASK_TYPE          TASKTIER_TASK_TURN         TASKTIER_TASK_TRACEPARENT
//	TASKTIER_TASK_KEY           TASKTIER_TASK_ATTEMPT      TASKTIER_TASK_TRACESTATE
//	                            TASKTIER_TASK_FENCE        TASKTIER_TASK_SLOT
//
// The last two are the run's fencing token and that of its slot, decimal integers, which [task.Fence] and [task.Slot]
// describe.
// All are always set, those the task does not have to nothing. Kafka headers are in TASKTIER_HEADER_ and their name,
// in upper case, with _ for all but letters and digits; those that an environment can't hold are left out. A task with
// such an attribute is a permanent failure.
//
// The command's exit decides: 0 succeeded, 65 (EX_DATAERR) permanent failure, any other code, 75 (EX_TEMPFAIL) among
// them, and death by a signal a failure to be tried again. A command need not read its input.
//
// What a command that succeeded wrote to standard output is kept as the task's result, byte for byte (see [task.Result]).
// Nothing is none, and more than 64 KiB ([task.MaxResult]) are not kept, not even in part; any amount is taken, and the task
// has succeeded all the same. Of a failure, standard output is dropped, and the end of standard error is quoted in the error.
//
// When the context ends, SIGTERM goes to the command's whole process group, and after Grace SIGKILL: the attempt ends
// within Grace, and as failed, even if the command then exits with 0, as many do that were told to stop half-way. What
// the command leaves running in its group when it ends is killed too; if that holds on to standard input, output or error,
// it has Grace to let go, and what it writes until then counts as the command's.
// On Linux the command itself, though not what it started, also dies with a node that is killed outright.
//
// Exec fails if the command is not found or not executable. It needs a Unix system.
func Exec(cfg ExecConfig) (consumer.Handler, error) {
	if !killsGroups {
		return nil, fmt.Errorf("exec handler: can't kill process groups on %s: use an http handler", runtime.GOOS)
	}
	if len(cfg.Command) == 0 || cfg.Command[0] == "" {
		return nil, errors.New("exec handler: command is empty")
	}
	r := &runner{name: cfg.Command[0], args: slices.Clone(cfg.Command[1:]), grace: cfg.Grace}
	if i := slices.IndexFunc(cfg.Command, func(s string) bool { return strings.Contains(s, "\x00") }); i >= 0 {
		return nil, fmt.Errorf("exec handler: word %d of the command has a NUL byte", i+1)
	}
	if r.grace < 0 {
		return nil, fmt.Errorf("exec handler: grace is %v, must not be negative", r.grace)
	}
	if r.grace == 0 {
		r.grace = defaultGrace
	}
	var err error
	if r.dir, err = directory(cfg.Dir); err != nil {
		return nil, fmt.Errorf("exec handler: %w", err)
	}
	if r.path, err = program(r.name, r.dir); err != nil {
		return nil, fmt.Errorf("exec handler: %w: name a program that the node's user may execute", err)
	}
	if r.env, err = environment(os.Environ(), cfg.Env); err != nil {
		return nil, fmt.Errorf("exec handler: %w", err)
	}
	return r.handle, nil
}

// directory makes dir absolute, so that commands are found wherever the node goes. Empty stays empty.
func directory(dir string) (string, error) {
	if dir == "" {
		return "", nil
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	info, err := os.Stat(dir)
	if err != nil {
		return "", fmt.Errorf("find dir: %w", err)
	}
	if !info.IsDir() {
		return "", fmt.Errorf("find dir: %s is not a directory", dir)
	}
	return dir, nil
}

// program finds the executable file that name means to a process in dir.
func program(name, dir string) (string, error) {
	if filepath.Base(name) != name && !filepath.IsAbs(name) {
		name = filepath.Join(dir, name)
	}
	path, err := exec.LookPath(name)
	if err != nil {
		return "", fmt.Errorf("find command: %w", err)
	}
	return filepath.Abs(path)
}

type runner struct {
	name, path, dir string
	args, env       []string
	grace           time.Duration
}

func (r *runner) handle(ctx context.Context, t *task.Task) error {
	env, err := taskEnvironment(t, tokensOf(ctx))
	if err != nil {
		return task.Permanent(fmt.Errorf("run %s: %w", r.name, err))
	}
	stdout, stderr := &whole{}, &tail{max: maxStderr}
	cmd := exec.CommandContext(ctx, r.path, r.args...)
	cmd.Dir = r.dir
	cmd.Env = slices.Concat(r.env, env)
	cmd.Stdin = bytes.NewReader(t.Payload)
	cmd.Stdout, cmd.Stderr = stdout, stderr // both take any amount: a full pipe would hold up the command
	cmd.WaitDelay = r.grace
	if err := r.judge(ctx, runGroup(cmd), stderr); err != nil {
		return err
	}
	keep(ctx, stdout.buf)
	return nil
}

// judge says what the end of a command means.
func (r *runner) judge(ctx context.Context, err error, stderr *tail) error {
	if err == nil || errors.Is(err, exec.ErrWaitDelay) { // the latter: exit code 0, and a pipe still held
		return nil
	}
	var exit *exec.ExitError
	exited := errors.As(err, &exit)
	interrupted := ctx.Err() != nil
	if interrupted {
		err = context.Cause(ctx)
	}
	failure := fmt.Errorf("run %s: %w", r.name, err)
	if said := stderr.String(); said != "" {
		failure = fmt.Errorf("%w: %s", failure, said)
	}
	if exited && !interrupted && exit.ExitCode() == exitDataErr {
		return task.Permanent(failure)
	}
	return failure
}
