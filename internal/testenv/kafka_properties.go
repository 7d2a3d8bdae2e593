package testenv

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
)

// brokerProperties is what a server.properties says.
type brokerProperties struct {
	id      int
	dataDir string
	addr    string
	// controllers are the controller addresses of the brokers 1, 2, ….
	controllers []string
	// listeners are those beside that of addr.
	listeners []listener
	// extra are lines that come last and win.
	extra []string
}

// listener is one that a broker has for some of its clients.
type listener struct{ addr, advertised string }

func (p brokerProperties) encode() []byte {
	voters := make([]string, len(p.controllers))
	for i, addr := range p.controllers {
		voters[i] = fmt.Sprintf("%d@%s", i+1, addr)
	}
	brokers := len(p.controllers)
	replicas := strconv.Itoa(min(brokers, 3))
	inSync := strconv.Itoa(min(brokers, 2))
	listeners := "CLIENT://" + p.addr + ",CONTROLLER://" + p.controllers[p.id-1]
	advertised := "CLIENT://" + p.addr
	protocols := "CLIENT:PLAINTEXT,CONTROLLER:PLAINTEXT"
	for i, l := range p.listeners {
		name := fmt.Sprintf("CLIENT%d", i+2)
		listeners += "," + name + "://" + l.addr
		advertised += "," + name + "://" + l.advertised
		protocols += "," + name + ":PLAINTEXT"
	}
	lines := []string{
		"process.roles=broker,controller",
		"node.id=" + strconv.Itoa(p.id),
		"log.dirs=" + p.dataDir,
		"controller.quorum.voters=" + strings.Join(voters, ","),
		"listeners=" + listeners,
		"advertised.listeners=" + advertised,
		"listener.security.protocol.map=" + protocols,
		"inter.broker.listener.name=CLIENT",
		"controller.listener.names=CONTROLLER",

		// Topics are made on purpose, as in production.
		"auto.create.topics.enable=false",
		"offsets.topic.replication.factor=" + replicas,
		"offsets.topic.num.partitions=4",
		"transaction.state.log.replication.factor=" + replicas,
		"transaction.state.log.min.isr=" + inSync,
		"transaction.state.log.num.partitions=4",
		"share.coordinator.state.topic.replication.factor=" + replicas,
		"share.coordinator.state.topic.min.isr=" + inSync,
		"share.coordinator.state.topic.num.partitions=4",

		// Do what tests wait for soon. A killed broker is not let back in
		// before its session ends, so that is short, too.
		"group.initial.rebalance.delay.ms=0",
		"group.min.session.timeout.ms=500",
		"broker.heartbeat.interval.ms=300",
		"broker.session.timeout.ms=3000",
		"controller.quorum.fetch.timeout.ms=1000",
		"log.cleaner.backoff.ms=500",
		"log.initial.task.delay.ms=500",

		// Small: several packages run their own at the same time.
		"num.network.threads=2",
		"num.io.threads=4",
		"log.cleaner.threads=1",
		"log.cleaner.dedupe.buffer.size=8388608",
	}
	lines = append(lines, p.extra...)
	return []byte(strings.Join(lines, "\n") + "\n")
}

// directoryID and nodeID are the lines of meta.properties that differ from one
// broker to the next.
var (
	nodeID      = regexp.MustCompile(`(?m)^node\.id=.*$`)
	directoryID = regexp.MustCompile(`(?m)^directory\.id=.*$`)
)

// brokerStorage makes a broker's log folder from the one that Kafka's tool
// formatted: the same files, with the broker's own ids.
func brokerStorage(formatted, dir string, id int) error {
	if err := os.CopyFS(dir, os.DirFS(formatted)); err != nil {
		return err
	}
	file := filepath.Join(dir, "meta.properties")
	meta, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	if !nodeID.Match(meta) || !directoryID.Match(meta) {
		return errors.New("meta.properties names no node.id or directory.id; remove the cache folder " + filepath.Dir(formatted))
	}
	unique := make([]byte, 16)
	rand.Read(unique)
	unique[0] &= 0x7f // so that the text does not begin with a dash, which Kafka refuses
	meta = nodeID.ReplaceAll(meta, []byte("node.id="+strconv.Itoa(id)))
	meta = directoryID.ReplaceAll(meta, []byte("directory.id="+base64.RawURLEncoding.EncodeToString(unique)))
	return os.WriteFile(file, bytes.TrimLeft(meta, "\n"), 0o644)
}
