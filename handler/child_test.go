//go:build unix

package handler

import (
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
)

// members is how many processes report to the meeting when the child is run.
func members(child string) int {
	if strings.HasPrefix(child, "parent-of-") || strings.HasPrefix(child, "leave-") {
		return 2
	}
	return 1
}

// beChild is the main function of the commands that the tests run. It does not return.
func beChild(name string, args []string) {
	switch name {
	case "exit": // code, text for standard error
		fmt.Fprint(os.Stderr, strings.Join(args[1:], " "))
		code, _ := strconv.Atoi(args[0])
		os.Exit(code)
	case "say": // text for standard output, code
		fmt.Print(args[0])
		code, _ := strconv.Atoi(args[1])
		os.Exit(code)
	case "fill": // bytes for standard output
		n, _ := strconv.Atoi(args[0])
		fmt.Print(strings.Repeat("x", n))
		os.Exit(0)
	case "die":
		syscall.Kill(os.Getpid(), syscall.SIGKILL)
	case "sum": // describes its input
		b, _ := io.ReadAll(os.Stdin)
		fmt.Fprintf(os.Stderr, "%d bytes, first %s", len(b), hex.EncodeToString(b[:min(2, len(b))]))
	case "print": // stream, code
		out := map[string]*os.File{"stdout": os.Stdout, "stderr": os.Stderr}[args[0]]
		for range 1000 {
			fmt.Fprintln(out, strings.Repeat("much ", 200))
		}
		fmt.Fprintln(out, "the end")
		code, _ := strconv.Atoi(args[1])
		os.Exit(code)
	case "env": // names
		for _, n := range args {
			v, ok := os.LookupEnv(n)
			if !ok {
				v = "unset"
			}
			fmt.Fprintln(os.Stderr, v)
		}
	case "wait":
		io.Copy(io.Discard, meet(name, args[0])) // until the test is over, at the latest
	case "obey":
		term := make(chan os.Signal, 1)
		signal.Notify(term, syscall.SIGTERM)
		conn := meet(name, args[0])
		go func() {
			io.Copy(io.Discard, conn)
			os.Exit(1) // the test is over
		}()
		<-term
		fmt.Println("half of the work")
		fmt.Fprintln(conn, "told to end")
		os.Exit(0)
	case "parent-of-obey":
		signal.Notify(make(chan os.Signal, 1), syscall.SIGTERM) // outlives it, to wait for its child
		child := exec.Command(os.Args[0], "obey", args[0])
		if err := child.Start(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		meet(name, args[0])
		child.Wait()
	case "stubborn":
		signal.Ignore(syscall.SIGTERM)
		io.Copy(io.Discard, meet(name, args[0]))
	case "parent-of-stubborn", "parent-of-quiet", "leave-stubborn", "leave-quiet":
		child := exec.Command(os.Args[0], "stubborn", args[0])
		if !strings.HasSuffix(name, "quiet") {
			child.Stdin, child.Stdout, child.Stderr = os.Stdin, os.Stdout, os.Stderr
		}
		if err := child.Start(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		conn := meet(name, args[0])
		if strings.HasPrefix(name, "leave-") {
			conn.Read(make([]byte, 1)) // until the test has met its child too
			fmt.Print("left")
			os.Exit(0)
		}
		child.Wait()
	case "node": // runs a command as a node does
		h, err := Exec(ExecConfig{Command: []string{os.Args[0], "stubborn", args[0]}})
		if err == nil {
			err = h(context.Background(), someTask())
		}
		fmt.Fprintln(os.Stderr, err)
	}
	os.Exit(1)
}

// meet reports at the address and keeps the connection for the rest of the process's life.
func meet(name, address string) net.Conn {
	conn, err := net.Dial("unix", address)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Fprintln(conn, name)
	return conn
}
