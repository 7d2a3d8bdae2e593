package main

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// A cli is one invocation of the command: its streams, and what the global flags say.
type cli struct {
	stdin          io.Reader
	stdout, stderr io.Writer
	signals        *signals

	configPath string
	output     choice
	queue      string
	queueGiven bool
	quiet      bool
	logLevel   choice
	logFormat  choice

	started bool // a command's own code was reached: the command line was understood
}

// run is the whole program: it executes one command line and returns the exit code. It ends early when ctx does, or on
// SIGINT and SIGTERM.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	c := &cli{
		stdin: stdin, stdout: stdout, stderr: stderr,
		output:    choice{value: "table", among: []string{"table", "json"}},
		logLevel:  choice{among: []string{"debug", "info", "warn", "error"}},
		logFormat: choice{value: "console", among: []string{"console", "json"}},
	}
	ctx, c.signals = listen(ctx)
	defer c.signals.close()

	root := c.root()
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	cmd, err := root.ExecuteContextC(ctx)
	if err != nil && !c.started {
		err = misused(cmd, err)
	}
	return c.report(ctx, err)
}

func (c *cli) root() *cobra.Command {
	root := noun(&cobra.Command{
		Use:   "tasktier",
		Short: "A distributed task pipeline on Kafka",
		Long: `tasktier runs tasks that services publish to Kafka.

Data is written to stdout; prose, progress and logs to stderr.
Exit codes: 0 done, 1 failed, 2 wrong usage or configuration, 3 done in part,
4 a server is not reachable, 130 interrupted.

The configuration is the file that --config or TASKTIER_CONFIG names, else ./tasktier.yaml
if it is there, else local addresses. TASKTIER_… variables go over it: see 'tasktier config print'.`,
		Example: `  tasktier dev                                     everything in one process, nothing to install
  tasktier task send email.send -d '{"to":"ann@example.com"}'
  tasktier doctor                                  what keeps this installation from working`,
		SilenceErrors: true, // report prints them
		SilenceUsage:  true,
	})
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error { return misused(cmd, err) })
	flags := root.PersistentFlags()
	flags.StringVarP(&c.configPath, "config", "c", "", "configuration `FILE`")
	flags.VarP(&c.output, "output", "o", "`FORMAT` of data on stdout: table or json")
	flags.StringVar(&c.queue, "queue", "tasks", "`QUEUE` to work with")
	flags.BoolVarP(&c.quiet, "quiet", "q", false, "no prose and no progress on stderr, and of logs only errors")
	flags.Var(&c.logLevel, "log-level", "least `LEVEL` that is logged: debug, info, warn or error")
	flags.Var(&c.logFormat, "log-format", "`FORMAT` of logs: console or json")
	root.PersistentPreRun = func(cmd *cobra.Command, _ []string) { c.queueGiven = cmd.Flags().Changed("queue") }
	root.AddCommand(c.devCommand(), c.runCommand(), c.taskCommand(), c.deadCommand(), c.queueCommand(), c.typeCommand(), c.nodeCommand(), c.scheduleCommand(), c.topicCommand(), c.doctorCommand(), c.configCommand(), c.versionCommand())
	return root
}

// noun makes a command that only has others below it. Alone it is half a sentence, but for the program's own name, which
// shows its help.
func noun(cmd *cobra.Command) *cobra.Command {
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return nil
		}
		message := fmt.Sprintf("unknown command %q", strings.TrimSpace(strings.TrimPrefix(cmd.CommandPath(), "tasktier")+" "+args[0]))
		if cmd.SuggestionsMinimumDistance <= 0 {
			cmd.SuggestionsMinimumDistance = 2
		}
		if like := cmd.SuggestionsFor(args[0]); len(like) > 0 {
			message += fmt.Sprintf("; did you mean %q?", like[0])
		}
		return misused(cmd, fmt.Errorf("%s", message))
	}
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if !cmd.HasParent() {
			return cmd.Help()
		}
		var verbs []string
		for _, verb := range cmd.Commands() {
			verbs = append(verbs, verb.Name())
		}
		return misused(cmd, fmt.Errorf("what about the %s? Add %s", cmd.Name(), oneOf(verbs)))
	}
	return cmd
}

// does wraps a command's code, so that errors before it are known as misuse.
func (c *cli) does(f func(ctx context.Context, args []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		c.started = true
		return f(cmd.Context(), args)
	}
}

// takes is the rule for a command's arguments: those named, all needed.
func takes(names ...string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		switch {
		case len(args) < len(names):
			return misused(cmd, fmt.Errorf("%s is missing", names[len(args)]))
		case len(args) > len(names):
			return misused(cmd, fmt.Errorf("unexpected argument %q", args[len(names)]))
		}
		return nil
	}
}

// A choice is a flag that takes one of a few words.
type choice struct {
	value string
	among []string
}

var _ pflag.Value = (*choice)(nil)

func (c *choice) String() string { return c.value }
func (c *choice) Type() string   { return "word" }

// Set refuses what is not among the choices.
func (c *choice) Set(s string) error {
	for _, word := range c.among {
		if s == word {
			c.value = s
			return nil
		}
	}
	return fmt.Errorf("must be %s", oneOf(c.among))
}

// oneOf lists words to choose from.
func oneOf(words []string) string {
	last := len(words) - 1
	if last < 1 {
		return strings.Join(words, "")
	}
	return strings.Join(words[:last], ", ") + " or " + words[last]
}
