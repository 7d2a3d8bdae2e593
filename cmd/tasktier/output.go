package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"

	"golang.org/x/term"
)

func (c *cli) json() bool { return c.output.value == "json" }

// prose writes a line to stderr for people, unless they asked for quiet.
func (c *cli) prose(format string, args ...any) {
	if !c.quiet {
		c.complain(format, args...)
	}
}

// complain writes a line to stderr that even the quiet want to read.
func (c *cli) complain(format string, args ...any) {
	fmt.Fprintf(c.stderr, format+"\n", args...)
}

// object writes v to stdout as one line of JSON.
func (c *cli) object(v any) error {
	line, err := marshal(v)
	if err != nil {
		return err
	}
	return c.data(line)
}

// data writes to stdout.
func (c *cli) data(b []byte) error {
	if _, err := c.stdout.Write(b); err != nil {
		return fmt.Errorf("write output: %w", err)
	}
	return nil
}

// marshal encodes v as a line of JSON, without escaping for HTML.
func marshal(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, fmt.Errorf("encode output: %w", err)
	}
	return b.Bytes(), nil
}

// terminal says whether a stream is one.
func terminal(stream any) bool {
	f, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}
