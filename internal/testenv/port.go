package testenv

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strconv"

	"go.etcd.io/etcd/client/pkg/v3/fileutil"
)

// Servers listen below the range from which the kernel takes the ports of
// outgoing connections. Inside that range a client that dials a killed server
// in a loop is sooner or later given the server's own port, connects to itself,
// and the server cannot come back.
const (
	firstPort = 15000
	lastPort  = 31999
)

// port is a port of 127.0.0.1 that no other test process takes, also while
// nothing listens on it: a file lock marks it as ours until release or until
// this process ends.
type port struct {
	number int
	lock   *fileutil.LockedFile
}

func reservePort() (port, error) {
	dir := filepath.Join(os.TempDir(), "tasktier-testenv-ports")
	// Several users of a machine share the ports and so the marks.
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return port{}, fmt.Errorf("reserve port: %w", err)
	}
	_ = os.Chmod(dir, 0o777) // past the umask; not ours to change if another user made it
	for range 200 {
		p, err := takePort(dir, firstPort+rand.IntN(lastPort-firstPort+1))
		if !errors.Is(err, errPortTaken) {
			return p, err
		}
	}
	return port{}, fmt.Errorf("reserve port: no free one found from %d to %d", firstPort, lastPort)
}

var errPortTaken = errors.New("port is taken")

// takePort marks one port in dir as ours, unless somebody has it.
func takePort(dir string, number int) (port, error) {
	lock, err := fileutil.TryLockFile(filepath.Join(dir, strconv.Itoa(number)), os.O_CREATE|os.O_WRONLY, 0o666)
	if errors.Is(err, fileutil.ErrLocked) || errors.Is(err, os.ErrPermission) {
		return port{}, errPortTaken // by another test process, or it was another user's
	}
	if err != nil {
		return port{}, fmt.Errorf("reserve port: %w", err)
	}
	l, err := net.Listen("tcp", address(number))
	if err != nil {
		_ = lock.Close()
		return port{}, errPortTaken // by somebody else's server
	}
	_ = l.Close()
	return port{number: number, lock: lock}, nil
}

// reservePorts reserves n ports or none.
func reservePorts(n int) (ports, error) {
	var all ports
	for range n {
		p, err := reservePort()
		if err != nil {
			all.release()
			return nil, err
		}
		all = append(all, p)
	}
	return all, nil
}

type ports []port

func (all ports) release() {
	for _, p := range all {
		_ = p.lock.Close()
	}
}

func (p port) addr() string { return address(p.number) }

func address(number int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(number)) }
