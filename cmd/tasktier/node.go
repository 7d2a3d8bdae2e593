package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/tasktier/tasktier/coord"
	"github.com/tasktier/tasktier/coord/control"
)

func (c *cli) nodeCommand() *cobra.Command {
	cmd := noun(&cobra.Command{
		Use:   "node",
		Short: "See who is up, and take nodes out of work",
		Long: `See which nodes are up, and take nodes out of work and back. Nodes meet in etcd: one whose
configuration has no etcd section is not known there.`,
	})
	var force bool
	drain := &cobra.Command{
		Use:   "drain NAME",
		Short: "Have a node finish what runs, and idle until it is resumed",
		Long: `Have a node finish what runs, give its partitions and duties up to others, and idle. It stays so until
'tasktier node resume NAME', also when it is started anew. It is the name that is drained: all nodes of that name are, those
to come included.`,
		Example: `  tasktier node drain worker-3
  tasktier node drain worker-4 --force    before it is started`,
		Args: takes("NAME"),
		RunE: c.does(func(ctx context.Context, args []string) error { return c.nodeDrain(ctx, args[0], force) }),
	}
	drain.Flags().BoolVar(&force, "force", false, "also if no node of that name is up")
	cmd.AddCommand(
		&cobra.Command{
			Use:   "list",
			Short: "List the nodes that are up, and those that are drained",
			Long: `List the nodes that are up, with what they say of themselves, whether they are drained and what they lead
in. A node that was killed is there until its lease runs out (node.lease_ttl). Names that are drained are listed also while no
node has them.`,
			Example: `  tasktier node list
  tasktier node list -o json`,
			Args: takes(),
			RunE: c.does(c.nodeList),
		},
		drain,
		&cobra.Command{
			Use:     "resume NAME",
			Short:   "Let a drained node work again",
			Example: `  tasktier node resume worker-3`,
			Args:    takes("NAME"),
			RunE:    c.does(func(ctx context.Context, args []string) error { return c.nodeResume(ctx, args[0]) }),
		},
	)
	return cmd
}

// A drainRow says what became of 'node drain' and 'node resume'.
type drainRow struct {
	Node    string `json:"node"`
	Drained bool   `json:"drained"`
	Changed bool   `json:"changed"` // false: it was so already
}

func (c *cli) nodeDrain(ctx context.Context, name string, force bool) error {
	return c.steering(ctx, func(ctx context.Context, cfg configuration, o control.Operator) error {
		up, state, err := nodesOf(ctx, o)
		if err != nil {
			return etcdTrouble(ctx, cfg, err)
		}
		if !up[name] && !state.Nodes[name].Drained && !force {
			return fmt.Errorf("no node is called %q; %s; to drain one before it starts: --force", name, among("those that are up are", sorted(up), "none is up"))
		}
		changed, err := o.DrainNode(ctx, name)
		if err != nil {
			return etcdTrouble(ctx, cfg, err)
		}
		row := drainRow{name, true, changed}
		switch {
		case !changed:
			return c.steered(row, "Node %s is drained already.", printable(name))
		case !up[name]:
			return c.steered(row, "Node %s is drained: it idles from its start on, until 'tasktier node resume %s'.", printable(name), printable(name))
		default:
			return c.steered(row, "Node %s is drained: it finishes what runs, gives up its partitions and duties, and idles until 'tasktier node resume %s', also when it is started anew.", printable(name), printable(name))
		}
	})
}

func (c *cli) nodeResume(ctx context.Context, name string) error {
	return c.steering(ctx, func(ctx context.Context, cfg configuration, o control.Operator) error {
		up, state, err := nodesOf(ctx, o)
		if err != nil {
			return etcdTrouble(ctx, cfg, err)
		}
		if !up[name] && !state.Nodes[name].Drained {
			return fmt.Errorf("node %q is not drained, and no node is called so; %s", name, among("those that are drained are", sorted(state.Nodes), "none is drained"))
		}
		changed, err := o.ResumeNode(ctx, name)
		if err != nil {
			return etcdTrouble(ctx, cfg, err)
		}
		row := drainRow{name, false, changed}
		if !changed {
			return c.steered(row, "Node %s is not drained.", printable(name))
		}
		return c.steered(row, "Node %s is resumed.", printable(name))
	})
}

// nodesOf are the names of the nodes that are up, and what is said of all.
func nodesOf(ctx context.Context, o control.Operator) (map[string]bool, control.State, error) {
	members, err := coord.Members(ctx, o.Client, o.Prefix)
	if err != nil {
		return nil, control.State{}, err
	}
	up := map[string]bool{}
	for _, m := range members {
		up[m.Name] = true
	}
	state, err := control.Read(ctx, o.Client, o.Prefix)
	return up, state, err
}

// among names what there is to choose from.
func among(lead string, names []string, none string) string {
	if len(names) == 0 {
		return none
	}
	return lead + " " + strings.Join(names, ", ")
}
