package embedded

import (
	"errors"
	"fmt"
	"net"
	"os"
)

// resolve reads the address to listen on for a server of that name.
func resolve(server, addr string) (*net.TCPAddr, error) {
	if addr == "" {
		addr = "127.0.0.1:0"
	}
	resolved, err := net.ResolveTCPAddr("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("read %s address: %w; want host:port", server, err)
	}
	return resolved, nil
}

// listen opens the port for a server of that name.
func listen(server, addr string) (net.Listener, error) {
	resolved, err := resolve(server, addr)
	if err != nil {
		return nil, err
	}
	l, err := net.Listen("tcp", resolved.String()) //nolint:noctx // it takes no time
	if err != nil {
		return nil, listenError(server, resolved.String(), err)
	}
	return l, nil
}

// listenError names the server, and says once what package net says thrice.
func listenError(server, addr string, err error) error {
	if op := (*net.OpError)(nil); errors.As(err, &op) {
		err = op.Err
	}
	if call := (*os.SyscallError)(nil); errors.As(err, &call) {
		err = call.Err
	}
	return fmt.Errorf("listen %s %s: %w", server, addr, err)
}

// reachable is the address that a client on this machine uses for a listener,
// which may listen on all addresses.
func reachable(addr *net.TCPAddr) string {
	shown := *addr
	if shown.IP == nil || shown.IP.IsUnspecified() {
		shown.IP = net.IPv4(127, 0, 0, 1)
	}
	return shown.String()
}
