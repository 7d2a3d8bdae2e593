package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/spf13/cobra"
	"github.com/tasktier/tasktier/coord"
	"github.com/tasktier/tasktier/coord/control"
)

func (c *cli) typeCommand() *cobra.Command {
	cmd := noun(&cobra.Command{
		Use:   "type",
		Short: "See the types of tasks, pause them, and limit how many run at once",
		Long:  `See the types of tasks, pause them, and limit how many of a type run at once in the whole cluster.`,
	})
	var byDefault bool
	limit := &cobra.Command{
		Use:   "limit TYPE (N or --default)",
		Short: "Run at most N tasks of a type at once in the whole cluster",
		Long: `Run at most N tasks of a type at once in the whole cluster, whatever the nodes' configuration says; 0 lifts
any limit. With --default the configuration's limit holds again (types.TYPE.limit). Tasks that run beyond a limit that was
lowered go on.`,
		Example: `  tasktier type limit report.make 1
  tasktier type limit report.make 0
  tasktier type limit report.make --default`,
		Args: func(cmd *cobra.Command, args []string) error {
			if !byDefault {
				return takes("TYPE", "N")(cmd, args)
			}
			if len(args) == 2 {
				return misused(cmd, errors.New("give N or --default, not both"))
			}
			return takes("TYPE")(cmd, args)
		},
		PreRunE: func(cmd *cobra.Command, args []string) error {
			if byDefault {
				return nil
			}
			if n, err := strconv.Atoi(args[1]); err != nil || n < 0 || n > control.MaxLimit {
				return misused(cmd, fmt.Errorf("limit %q: must be a whole number from 0, which lifts the limit, to %d", args[1], control.MaxLimit))
			}
			return nil
		},
		RunE: c.does(func(ctx context.Context, args []string) error {
			if byDefault {
				return c.typeLimit(ctx, args[0], nil)
			}
			n, err := strconv.Atoi(args[1])
			if err != nil {
				return err
			}
			return c.typeLimit(ctx, args[0], &n)
		}),
	}
	limit.Flags().BoolVar(&byDefault, "default", false, "let the configuration's limit hold again")
	cmd.AddCommand(
		&cobra.Command{
			Use:   "list",
			Short: "List the types, who handles them, and what is said of them",
			Long: `List the types that nodes which are up have handlers for, that the configuration names, and that operators
have said something of: how many nodes handle each, whether it is paused, its limit and who set that (the configuration read
here, or an operator), how many of the places that the limit leaves are taken, and how many nodes wait for one.`,
			Example: `  tasktier type list
  tasktier type list -o json`,
			Args: takes(),
			RunE: c.does(c.typeList),
		},
		&cobra.Command{
			Use:   "pause TYPE",
			Short: "Start no tasks of a type until it is resumed",
			Long: `Start no tasks of a type, on no node, until it is resumed; through restarts, too. What runs goes on, and what is
sent is kept.`,
			Example: `  tasktier type pause mail.send`,
			Args:    takes("TYPE"),
			RunE:    c.does(func(ctx context.Context, args []string) error { return c.typePause(ctx, args[0], true) }),
		},
		&cobra.Command{
			Use:     "resume TYPE",
			Short:   "Start tasks of a type again",
			Example: `  tasktier type resume mail.send`,
			Args:    takes("TYPE"),
			RunE:    c.does(func(ctx context.Context, args []string) error { return c.typePause(ctx, args[0], false) }),
		},
		limit,
	)
	return cmd
}

func (c *cli) typePause(ctx context.Context, typ string, pause bool) error {
	if typ == "" {
		return wrong("TYPE is empty")
	}
	return c.steering(ctx, func(ctx context.Context, cfg configuration, o control.Operator) error {
		say := o.PauseType
		if !pause {
			say = o.ResumeType
		}
		changed, err := say(ctx, typ)
		if err != nil {
			return etcdTrouble(ctx, cfg, err)
		}
		if changed && pause {
			c.warnOfType(ctx, cfg, o, typ)
		}
		return c.steered(pauseRow{Type: typ, Paused: pause, Changed: changed}, pauseSentence(pause, changed), "Type "+printable(typ), "type resume "+printable(typ))
	})
}

// A limitRow says what became of 'type limit'.
type limitRow struct {
	Type    string `json:"type"`
	Limit   *int   `json:"limit,omitempty"` // missing: the configuration's
	Changed bool   `json:"changed"`         // false: it was so already
}

// typeLimit limits a type; nil is the configuration's limit.
func (c *cli) typeLimit(ctx context.Context, typ string, n *int) error {
	if typ == "" {
		return wrong("TYPE is empty")
	}
	return c.steering(ctx, func(ctx context.Context, cfg configuration, o control.Operator) error {
		var changed bool
		var err error
		if n == nil {
			changed, err = o.DefaultLimit(ctx, typ)
		} else {
			changed, err = o.LimitType(ctx, typ, *n)
		}
		if err != nil {
			return etcdTrouble(ctx, cfg, err)
		}
		if changed {
			c.warnOfType(ctx, cfg, o, typ)
		}
		already := ""
		if !changed {
			already = ", as it was"
		}
		row, name := limitRow{typ, n, changed}, printable(typ)
		switch {
		case n == nil:
			return c.steered(row, "The limit of type %s is the configuration's%s.", name, already)
		case *n == 0:
			return c.steered(row, "Type %s has no limit%s.", name, already)
		default:
			return c.steered(row, "At most %d tasks of type %s run at once in the whole cluster%s.", *n, name, already)
		}
	})
}

// warnOfType says so where nobody knows a type: it may be a slip of the pen.
func (c *cli) warnOfType(ctx context.Context, cfg configuration, o control.Operator, typ string) {
	if _, ok := cfg.Types[typ]; ok {
		return
	}
	members, err := coord.Members(ctx, o.Client, o.Prefix)
	if err == nil && !slices.ContainsFunc(members, func(m coord.Member) bool { return slices.Contains(m.Types, typ) }) {
		c.prose("No node that is up handles type %s, and the configuration does not name it: this is for nodes to come.", printable(typ))
	}
}
