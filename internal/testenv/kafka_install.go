package testenv

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/xml"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

//go:embed kafka/pom.xml kafka/log4j2.xml
var kafkaFiles embed.FS

// kafkaHome is Kafka ready to run.
type kafkaHome struct {
	java      string
	classpath string
	log4j     string
	// formatted holds what Kafka's storage tool wrote for an empty log folder.
	formatted string
	// archive is the JVM's archive of Kafka's loaded classes: with it a broker
	// is up in half the time. Empty where the JVM could not make one.
	archive string
}

// installKafka fetches Kafka with Maven, lets it format a log folder and makes
// the class archive; later calls find all that in the cache.
func installKafka() (kafkaHome, error) {
	fail := func(err error) (kafkaHome, error) { return kafkaHome{}, fmt.Errorf("install kafka: %w", err) }
	java, err := tool("java")
	if err != nil {
		return fail(err)
	}
	version, err := kafkaVersion()
	if err != nil {
		return fail(err)
	}
	name := "kafka-" + version + "-" + kafkaFilesHash()
	dir, err := cached(name, func(dir string) error {
		announce("fetching Apache Kafka %s with Maven", version)
		return fetchKafka(java, dir)
	})
	if err != nil {
		return fail(err)
	}
	home, err := openKafkaHome(java, dir)
	if err != nil {
		return fail(err)
	}
	// In a folder of its own, after the rename of the first: the JVM uses an
	// archive only for the class path it was made with, and another JVM needs
	// another archive.
	dir, err = cached(name+"-classes-"+javaHash(java), func(dir string) error {
		return archiveClasses(home, filepath.Join(dir, "kafka.jsa"))
	})
	if err != nil {
		return fail(err)
	}
	if archive := filepath.Join(dir, "kafka.jsa"); exists(archive) {
		home.archive = archive
	}
	return home, nil
}

func openKafkaHome(java, dir string) (kafkaHome, error) {
	jars, err := filepath.Glob(filepath.Join(dir, "lib", "*.jar")) // sorted
	if err != nil {
		return kafkaHome{}, err
	}
	return kafkaHome{
		java:      java,
		classpath: strings.Join(jars, string(filepath.ListSeparator)),
		log4j:     filepath.Join(dir, "log4j2.xml"),
		formatted: filepath.Join(dir, "formatted"),
	}, nil
}

func fetchKafka(java, dir string) error {
	mvn, err := tool("mvn")
	if err != nil {
		return err
	}
	for _, name := range []string{"pom.xml", "log4j2.xml"} {
		data, err := kafkaFiles.ReadFile("kafka/" + name)
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o644); err != nil {
			return err
		}
	}
	lib := filepath.Join(dir, "lib")
	cmd := exec.Command(mvn, "-q", "-B", "-f", filepath.Join(dir, "pom.xml"),
		"dependency:copy-dependencies", "-DincludeScope=runtime", "-DoutputDirectory="+lib)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("mvn dependency:copy-dependencies: %w:\n%s", err, out)
	}
	home, err := openKafkaHome(java, dir)
	if err != nil {
		return err
	}
	return formatStorage(home)
}

// formatStorage has Kafka's tool format one log folder. Brokers get copies of
// it (see brokerStorage), which spares each start a JVM.
func formatStorage(home kafkaHome) error {
	properties := brokerProperties{
		id: 1, dataDir: home.formatted, addr: "127.0.0.1:9092", controllers: []string{"127.0.0.1:9093"},
	}
	file := home.formatted + ".properties"
	if err := os.WriteFile(file, properties.encode(), 0o644); err != nil {
		return err
	}
	const clusterID = "dGFza3RpZXItdGVzdGVudg"
	cmd := home.command("kafka.tools.StorageTool", nil, "format", "--cluster-id", clusterID, "--config", file)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("format kafka storage: %w:\n%s", err, out)
	}
	return nil
}

// archiveClasses runs a broker once and has its JVM dump the classes it loaded.
// A JVM that cannot do that leaves no file, and brokers start without one.
func archiveClasses(home kafkaHome, file string) error {
	announce("preparing Kafka's class archive")
	dir, err := os.MkdirTemp("", "tasktier-kafka-classes-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	cluster, err := newKafkaCluster(home, dir, 1, kafkaConfig{jvm: []string{"-XX:ArchiveClassesAtExit=" + file}})
	if err != nil {
		return err
	}
	if err := cluster.Start(); err != nil {
		if errors.Is(err, errNotStarted) {
			return err
		}
		announce("no class archive: %v", err)
		return nil
	}
	return cluster.Close()
}

// command runs a main class of Kafka's. The settings favour a quick start over
// throughput at length: only the first compiler and the simplest collector.
// Flags given in jvm come later and win.
func (h kafkaHome) command(class string, jvm []string, args ...string) *exec.Cmd {
	flags := []string{"-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"}
	if h.archive != "" {
		flags = append(flags, "-Xshare:auto", "-XX:SharedArchiveFile="+h.archive)
	}
	flags = append(flags, jvm...)
	flags = append(flags, "-cp", h.classpath, "-Dlog4j2.configurationFile="+h.log4j, class)
	return exec.Command(h.java, append(flags, args...)...)
}

// kafkaVersion reads the version from pom.xml, its one place.
func kafkaVersion() (string, error) {
	data, err := kafkaFiles.ReadFile("kafka/pom.xml")
	if err != nil {
		return "", err
	}
	var pom struct {
		Version string `xml:"properties>kafka.version"`
	}
	if err := xml.Unmarshal(data, &pom); err != nil {
		return "", fmt.Errorf("read kafka/pom.xml: %w", err)
	}
	return pom.Version, nil
}

// kafkaFilesHash tells apart cache folders of one Kafka version that were made
// from different files.
func kafkaFilesHash() string {
	h := sha256.New()
	for _, name := range []string{"kafka/pom.xml", "kafka/log4j2.xml"} {
		data, err := kafkaFiles.ReadFile(name)
		if err != nil {
			panic(err) // embedded above
		}
		h.Write(data)
	}
	return fmt.Sprintf("%x", h.Sum(nil)[:4])
}

// javaHash tells apart JVMs by the release file beside them.
func javaHash(java string) string {
	real, err := filepath.EvalSymlinks(java)
	if err != nil {
		real = java
	}
	release, err := os.ReadFile(filepath.Join(filepath.Dir(real), "..", "release"))
	if err != nil {
		release = []byte(real)
	}
	sum := sha256.Sum256(bytes.TrimSpace(release))
	return fmt.Sprintf("%x", sum[:4])
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
