package testenv

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// KafkaBroker is one Kafka process, broker and controller in one.
type KafkaBroker struct {
	Server
	// ID is the broker's node id: 1 and up.
	ID   int32
	addr string
}

// Addr is the broker's address.
func (b *KafkaBroker) Addr() string { return b.addr }

// Addrs is the same as a list of seed brokers.
func (b *KafkaBroker) Addrs() []string { return []string{b.addr} }

// KafkaCluster is a Kafka cluster on this machine, each broker a process.
type KafkaCluster struct {
	Brokers []*KafkaBroker
	ports   ports
}

// Addrs is the brokers' addresses, also of those that do not run now.
func (c *KafkaCluster) Addrs() []string {
	addrs := make([]string, len(c.Brokers))
	for i, b := range c.Brokers {
		addrs[i] = b.addr
	}
	return addrs
}

// A KafkaOption changes how brokers are run.
type KafkaOption func(*kafkaConfig)

type kafkaConfig struct {
	settings  []string
	jvm       []string
	listeners []Advertise
}

// Advertise returns the address that a broker tells clients who come to a listener of it, which listens at addr: that of
// a proxy, say.
type Advertise func(broker int32, addr string) (string, error)

// KafkaListener gives every broker one more listener for clients, on a port of its own. Clients that come to it are sent
// on to what advertise returns, for each broker: whoever has these addresses alone never leaves that way. It is called
// before the brokers start, once for each. Brokers among themselves, and clients of Addrs, are not concerned. It may be
// given several times.
func KafkaListener(advertise Advertise) KafkaOption {
	return func(c *kafkaConfig) { c.listeners = append(c.listeners, advertise) }
}

// KafkaSetting sets a broker property, over the defaults for tests.
func KafkaSetting(key, value string) KafkaOption {
	return func(c *kafkaConfig) { c.settings = append(c.settings, key+"="+value) }
}

// KafkaJVM adds flags of the JVM; they win over the defaults, which are for
// tests: a heap of 512 MB and a quick start. A benchmark wants "-Xmx2g",
// "-XX:TieredStopAtLevel=4" and "-XX:+UseG1GC" with "-XX:-UseSerialGC".
func KafkaJVM(flags ...string) KafkaOption {
	return func(c *kafkaConfig) { c.jvm = append(c.jvm, flags...) }
}

// newKafkaCluster prepares n brokers in dir; Start starts them.
func newKafkaCluster(home kafkaHome, dir string, n int, config kafkaConfig) (*KafkaCluster, error) {
	more := len(config.listeners)
	ports, err := reservePorts((2 + more) * n)
	if err != nil {
		return nil, err
	}
	cluster := &KafkaCluster{ports: ports}
	controllers := make([]string, n)
	for i := range n {
		controllers[i] = ports[n+i].addr()
	}
	for i := range n {
		listeners, err := listen(int32(i+1), ports[2*n+i*more:][:more], config.listeners)
		if err != nil {
			ports.release()
			return nil, err
		}
		broker, err := newKafkaBroker(home, dir, brokerProperties{
			id: i + 1, addr: ports[i].addr(), controllers: controllers, listeners: listeners, extra: config.settings,
		}, config.jvm)
		if err != nil {
			ports.release()
			return nil, err
		}
		cluster.Brokers = append(cluster.Brokers, broker)
	}
	return cluster, nil
}

// listen asks what each of a broker's listeners advertises.
func listen(broker int32, ports ports, advertise []Advertise) ([]listener, error) {
	listeners := make([]listener, len(advertise))
	for i, a := range advertise {
		advertised, err := a(broker, ports[i].addr())
		if err != nil {
			return nil, fmt.Errorf("advertise broker %d: %w", broker, err)
		}
		listeners[i] = listener{addr: ports[i].addr(), advertised: advertised}
	}
	return listeners, nil
}

func newKafkaBroker(home kafkaHome, dir string, properties brokerProperties, jvm []string) (*KafkaBroker, error) {
	name := fmt.Sprintf("kafka-%d", properties.id)
	dir = filepath.Join(dir, name)
	properties.dataDir = filepath.Join(dir, "data")
	file := filepath.Join(dir, "server.properties")
	if err := brokerStorage(home.formatted, properties.dataDir, properties.id); err != nil {
		return nil, fmt.Errorf("prepare %s: %w", name, err)
	}
	if err := os.WriteFile(file, properties.encode(), 0o644); err != nil {
		return nil, fmt.Errorf("prepare %s: %w", name, err)
	}
	b := &KafkaBroker{ID: int32(properties.id), addr: properties.addr}
	b.name, b.dir = name, dir
	b.command = func() *exec.Cmd { return home.command("kafka.Kafka", jvm, file) }
	b.ready = func(_ context.Context, log []byte) error {
		// A broker listens before its controller lets it serve. It says this
		// line last of all.
		if !bytes.Contains(log, []byte("Kafka Server started")) {
			return errNotStarted
		}
		return nil
	}
	return b, nil
}

var errNotStarted = errors.New("the broker has not said that it started")

// Start starts all brokers that do not run, together, and returns when each
// knows of all.
func (c *KafkaCluster) Start() error {
	if err := c.each((*KafkaBroker).Start); err != nil {
		return err
	}
	return c.awaitMembers()
}

// Close stops all brokers and gives their ports back. Their data stays.
func (c *KafkaCluster) Close() error {
	defer c.ports.release()
	if len(c.Brokers) == 1 {
		return c.Brokers[0].Stop()
	}
	// An orderly stop of a whole cluster would wait for a controller that may
	// be gone already, and nobody needs the data.
	return c.each((*KafkaBroker).Kill)
}

func (c *KafkaCluster) each(act func(*KafkaBroker) error) error {
	errs := make([]error, len(c.Brokers))
	var wg sync.WaitGroup
	for i, b := range c.Brokers {
		wg.Go(func() { errs[i] = act(b) })
	}
	wg.Wait()
	return errors.Join(errs...)
}

// awaitMembers waits until every broker lists every broker: until then a topic
// with a replica on each could not be made.
func (c *KafkaCluster) awaitMembers() error {
	ctx, cancel := context.WithTimeout(context.Background(), startLimit)
	defer cancel()
	for _, b := range c.Brokers {
		client, err := kgo.NewClient(kgo.SeedBrokers(b.addr))
		if err != nil {
			return fmt.Errorf("await kafka cluster: %w", err)
		}
		err = awaitBrokers(ctx, client, len(c.Brokers))
		client.Close()
		if err != nil {
			return fmt.Errorf("await kafka cluster: broker %d does not list %d brokers: %w", b.ID, len(c.Brokers), err)
		}
	}
	return nil
}

func awaitBrokers(ctx context.Context, client *kgo.Client, n int) error {
	request := kmsg.NewPtrMetadataRequest()
	request.Topics = []kmsg.MetadataRequestTopic{}
	return poll(ctx, func() error {
		answer, err := request.RequestWith(ctx, client)
		if err != nil {
			return err
		}
		if len(answer.Brokers) < n {
			return fmt.Errorf("it lists %d", len(answer.Brokers))
		}
		return nil
	})
}
