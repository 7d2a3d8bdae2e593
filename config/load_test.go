package config

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

// example is the configuration of CLI.md, word for word.
const example = `kafka: {brokers: [127.0.0.1:9092], create_topics: true, tls: {enabled: false, ca: , cert: , key: }, sasl: {mechanism: , user: , password_file: }}
redis: {addresses: [127.0.0.1:6379], cluster: false, username: , password_file: , tls: {}, when_away: wait}   # or proceed; omit redis for at-least-once
etcd:  {endpoints: [127.0.0.1:2379], prefix: /tasktier, username: , password_file: , tls: {}}
node:  {name: , concurrency: 100, drain: 30s, http: ":9400", lease_ttl: 10s}
queues:
  tasks: {weight: 1, partitions: 24, ordered: false, window: 1h, id_window: 24h,
          retry: {max_attempts: 25, base: 1s, max: 6h}}
types:                                     # handlers for those who write no Go
  email.send:  {http: {url: http://127.0.0.1:9000/email, timeout: 30s}, timeout: 30s}
  report.make: {exec: {command: [python3, report.py]}, timeout: 10m, limit: 1, retry: {max_attempts: 3}}
schedules:
  nightly: {cron: "0 2 * * *", zone: Europe/Berlin, type: report.make, data: {}, missed: skip}
`

// write puts content into a file called tasktier.yaml, and makes its folder the working directory, so that messages
// name the file as a user would.
func write(t *testing.T, content string) string {
	t.Helper()
	t.Chdir(t.TempDir())
	if err := os.WriteFile("tasktier.yaml", []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return "tasktier.yaml"
}

func mustLoad(t *testing.T, content string, environ ...string) Config {
	t.Helper()
	cfg, err := Load(write(t, content), environ)
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

func TestLoadExample(t *testing.T) {
	cfg := mustLoad(t, example)
	if err := cfg.Validate(); err != nil {
		t.Fatal(err)
	}
	want := Default()
	want.Types = map[string]Type{
		"email.send": {
			HTTP:    &HTTPHandler{URL: "http://127.0.0.1:9000/email", Timeout: 30 * time.Second},
			Timeout: 30 * time.Second,
		},
		"report.make": {
			Exec:    &ExecHandler{Command: []string{"python3", "report.py"}},
			Timeout: 10 * time.Minute, Limit: 1, Retry: Retry{MaxAttempts: 3},
		},
	}
	want.Schedules = map[string]Schedule{
		"nightly": {Cron: "0 2 * * *", Zone: "Europe/Berlin", Type: "report.make", Data: map[string]any{}, Missed: "skip"},
	}
	equal(t, cfg, want)
}

func equal(t *testing.T, got, want Config) {
	t.Helper()
	got.origin, want.origin = nil, nil
	if !reflect.DeepEqual(got, want) {
		g, _ := got.YAML()
		w, _ := want.YAML()
		t.Errorf("got\n%s\nwant\n%s", g, w)
	}
}

func TestLoadFindsTheFile(t *testing.T) {
	t.Chdir(t.TempDir())
	named := func(path, name string) string {
		if err := os.WriteFile(path, []byte("node: {name: "+name+"}"), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	name := func(path string, environ ...string) string {
		t.Helper()
		cfg, err := Load(path, environ)
		if err != nil {
			t.Fatal(err)
		}
		return cfg.Node.Name
	}
	byVariable := "TASKTIER_CONFIG=" + named("variable.yaml", "variable")
	byPath := named("path.yaml", "path")

	cfg, err := Load("", nil)
	if err != nil {
		t.Fatal(err)
	}
	equal(t, cfg, Default()) // no file at all: local addresses, Redis and etcd among them

	named("tasktier.yaml", "folder")
	if got := name(""); got != "folder" {
		t.Errorf("nothing given: read %q, want the working directory's", got)
	}
	if got := name("", "TASKTIER_CONFIG="); got != "folder" {
		t.Errorf("empty variable: read %q, want the working directory's", got)
	}
	if got := name("", byVariable); got != "variable" {
		t.Errorf("variable given: read %q", got)
	}
	if got := name(byPath, byVariable); got != "path" {
		t.Errorf("path given: read %q", got)
	}
}

func TestLoadRefusesAFileThatIsNotThere(t *testing.T) {
	t.Chdir(t.TempDir())
	for _, c := range []struct {
		path    string
		environ []string
		want    string
	}{
		{"none.yaml", nil, "none.yaml: no such file or directory"},
		{"", []string{"TASKTIER_CONFIG=none.yaml"}, "none.yaml: no such file or directory"},
		{".", nil, ".: is a directory"},
		{"/dev/zero", nil, "/dev/zero: larger than 1MiB: this is no config file"},
	} {
		_, err := Load(c.path, c.environ)
		isError(t, err, c.want)
	}
}

func isError(t *testing.T, err error, want string) {
	t.Helper()
	if err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
		return
	}
	if _, ok := errors.AsType[*Error](err); !ok {
		t.Errorf("%v is a %T, want *Error", err, err)
	}
}

func TestLoadServersLeftOut(t *testing.T) {
	for _, c := range []struct {
		name, file  string
		environ     []string
		redis, etcd bool
	}{
		{name: "an empty file", file: ""},
		{name: "comments alone", file: "# nothing\n"},
		{name: "other sections", file: "node: {concurrency: 1}"},
		{name: "a section without a value", file: "redis:\netcd: null\n"},
		{name: "an empty section", file: "redis: {}\netcd: {}", redis: true, etcd: true},
		{name: "an empty list", file: "redis: {addresses: []}\netcd: {endpoints: []}"},
		{name: "a variable adds", file: "", environ: []string{"TASKTIER_REDIS_CLUSTER=true"}, redis: true},
		{name: "a variable takes away", file: "redis: {}\netcd: {}", environ: []string{"TASKTIER_REDIS_ADDRESSES="}, etcd: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg := mustLoad(t, c.file, c.environ...)
			if got := cfg.Redis != nil; got != c.redis {
				t.Errorf("redis configured: %v, want %v", got, c.redis)
			}
			if got := cfg.Etcd != nil; got != c.etcd {
				t.Errorf("etcd configured: %v, want %v", got, c.etcd)
			}
			if c.redis && cfg.Redis.WhenAway != Wait {
				t.Errorf("redis without its defaults: %+v", cfg.Redis)
			}
			if len(cfg.Kafka.Brokers) == 0 {
				t.Error("kafka has no address by default")
			}
		})
	}
}

func TestLoadQueues(t *testing.T) {
	cfg := mustLoad(t, "queues:\n  mail.bulk:\n  urgent: {weight: 9, retry: {max: 1m}}\n")
	urgent := DefaultQueue()
	urgent.Weight, urgent.Retry.Max = 9, time.Minute
	if want := map[string]Queue{"mail.bulk": DefaultQueue(), "urgent": urgent}; !reflect.DeepEqual(cfg.Queues, want) {
		t.Errorf("got  %+v\nwant %+v", cfg.Queues, want)
	}
}

// Names of task types keep their dots and their case, in the file and in the environment. Pitfall 44 of
// docs/pitfalls.md.
func TestTypeNamesKeepDotsAndCase(t *testing.T) {
	cfg := mustLoad(t, "types:\n  Email.Send.v2: {limit: 1}\n  \"email.send\": {limit: 2}\n  email: {limit: 3}\n",
		"TASKTIER_TYPES_EMAIL_SEND_V2_LIMIT=7")
	want := map[string]Type{"Email.Send.v2": {Limit: 7}, "email.send": {Limit: 2}, "email": {Limit: 3}}
	if !reflect.DeepEqual(cfg.Types, want) {
		t.Errorf("got  %+v\nwant %+v", cfg.Types, want)
	}
}

func TestLoadRefuses(t *testing.T) {
	for name, c := range map[string]struct{ file, want string }{
		"unknown key": {"queues:\n  tasks:\n    wieght: 3\n",
			`tasktier.yaml:3: queues.tasks.wieght: unknown key (did you mean "weight"?)`},
		"unknown section": {"\nkafak: {}\n", `tasktier.yaml:2: kafak: unknown key (did you mean "kafka"?)`},
		"unlike any key": {"node:\n  colour: red\n",
			"tasktier.yaml:2: node.colour: unknown key; known here: name, concurrency, drain, http, lease_ttl, max_inflight, max_inflight_bytes, breaker"},
		"doubled key":           {"node:\n  name: a\n  drain: 1s\n  name: b\n", "tasktier.yaml:4: node.name: doubled key: it is at line 2 already"},
		"doubled section":       {"node: {name: a}\nnode: {name: b}\n", "tasktier.yaml:2: node: doubled key: it is at line 1 already"},
		"doubled in flow":       {"node: {name: a, name: b}\n", "tasktier.yaml:1: node.name: doubled key: it is at line 1 already"},
		"doubled type":          {"types:\n  a.b: {limit: 1}\n  \"a.b\": {limit: 2}\n", "tasktier.yaml:3: types.a.b: doubled key: it is at line 2 already"},
		"no whole number":       {"node: {concurrency: many}", `tasktier.yaml:1: node.concurrency: "many" is no whole number`},
		"a fraction":            {"node: {concurrency: 1.5}", `tasktier.yaml:1: node.concurrency: "1.5" is no whole number`},
		"a huge number":         {"node: {concurrency: 99999999999999999999}", `tasktier.yaml:1: node.concurrency: 99999999999999999999 is out of range`},
		"a number of no unit":   {"node:\n  drain: 30\n", `tasktier.yaml:2: node.drain: "30" is no duration; write one like 500ms, 30s, 10m or 24h`},
		"no size":               {"node: {max_inflight_bytes: 5 cats}", `tasktier.yaml:1: node.max_inflight_bytes: "5 cats" is no size; write one like 65536 or 64MiB`},
		"no boolean":            {"kafka: {create_topics: yes}", `tasktier.yaml:1: kafka.create_topics: "yes" is neither true nor false`},
		"a list for a value":    {"node: {name: [a]}", "tasktier.yaml:1: node.name: a single value is wanted here, not a list"},
		"a mapping for a value": {"node: {name: {a: b}}", "tasktier.yaml:1: node.name: a single value is wanted here, not a mapping"},
		"a value for a list":    {"kafka:\n  brokers: a:9092\n", "tasktier.yaml:2: kafka.brokers: a list is wanted here, as in [a, b], not a single value"},
		"a value for a section": {"node: 5", "tasktier.yaml:1: node: keys and values are wanted here, not a single value"},
		"a list of mappings":    {"kafka:\n  brokers:\n  - a: 9092\n", "tasktier.yaml:3: kafka.brokers[0]: a single value is wanted here, not a mapping"},
		"no mapping at all":     {"- a\n", "tasktier.yaml:1: keys and values are wanted here, not a list"},
		"two documents":         {"node: {}\n---\nnode: {}\n", "tasktier.yaml:3: a second document (---): a config is one"},
		"broken":                {"node: {\n", "tasktier.yaml:1: could not find flow mapping end token '}'"},
		"a tab":                 {"node:\n\tname: a\n", `tasktier.yaml:2: found character '	' that cannot start any token`},
		"an alias":              {"node: {name: &n a, http: *n}", "tasktier.yaml:1: anchors (&name) are not taken here: write the value itself\ntasktier.yaml:1: aliases (*name) are not taken here: write the value itself"},
		"a tag":                 {"node:\n  name: !!str 5\n", "tasktier.yaml:2: tags (!name) are not taken here: write the value itself"},
		"binary":                {"\xff\xfe\x00", "tasktier.yaml: not valid UTF-8: this is no config file"},
		"several, each on its line": {"node:\n  nmae: a\n  drain: x\nqueues: {tasks: {wait: 1}}\n", strings.Join([]string{
			`tasktier.yaml:2: node.nmae: unknown key (did you mean "name"?)`,
			`tasktier.yaml:3: node.drain: "x" is no duration; write one like 500ms, 30s, 10m or 24h`,
			`tasktier.yaml:4: queues.tasks.wait: unknown key; known here: weight, partitions, ordered, window, id_window, retry, timeout, horizon, unhandled, max_bytes, history, keep_for`,
		}, "\n")},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Load(write(t, c.file), nil)
			isError(t, err, c.want)
		})
	}
}

// The parser takes kafka:9092 in a list inside {} for a mapping; a user means the address.
func TestLoadAddressesInFlow(t *testing.T) {
	want := []string{"kafka-1:9092", "10.0.0.1:9092", "k:1"}
	for _, list := range []string{
		"{brokers: [kafka-1:9092, 10.0.0.1:9092,k:1]}",
		"{brokers: [\"kafka-1:9092\", '10.0.0.1:9092',\n    k:1]}",
		"{brokers: [\n    kafka-1:9092,\n    10.0.0.1:9092,\n    k:1\n  ], create_topics: true}",
		"\n  brokers: [kafka-1:9092, 10.0.0.1:9092,k:1]",
		"\n  brokers:\n  - kafka-1:9092\n  - 10.0.0.1:9092\n  - k:1",
	} {
		if cfg := mustLoad(t, "kafka: "+list); !reflect.DeepEqual(cfg.Kafka.Brokers, want) {
			t.Errorf("%s: got %q", list, cfg.Kafka.Brokers)
		}
	}
	if cfg := mustLoad(t, "etcd: {endpoints: [http://a:2379, https://b:2379]}"); !reflect.DeepEqual(cfg.Etcd.Endpoints, []string{"http://a:2379", "https://b:2379"}) {
		t.Errorf("got %q", cfg.Etcd.Endpoints)
	}
}

func FuzzLoad(f *testing.F) {
	f.Add([]byte(example), "TASKTIER_KAFKA_BROKERS=a:1")
	f.Add([]byte("queues: {a.b: , a_b: }"), "TASKTIER_QUEUES_A_B_WEIGHT=2")
	f.Add([]byte("a: &x [*x]\n<<: *x\n? [b]\n: c"), "TASKTIER_TYPES_X")
	f.Add([]byte("schedules:\n  x: {data: [1.5, 2e400, {a: |\n  text\n}]}"), "TASKTIER_SCHEDULES_X_DATA={")
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, content []byte, variable string) {
		path := filepath.Join(dir, "tasktier.yaml")
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		cfg, err := Load(path, []string{variable})
		if err != nil {
			if _, ok := errors.AsType[*Error](err); !ok || err.Error() == "" {
				t.Fatalf("%T %v, want a *Error that says something", err, err)
			}
			return
		}
		if cfg.Validate() != nil {
			return
		}
		printed, err := cfg.YAML()
		if err != nil {
			t.Fatalf("print what was loaded: %v", err)
		}
		if err := os.WriteFile(path, printed, 0o600); err != nil {
			t.Fatal(err)
		}
		again, err := Load(path, nil)
		if err != nil {
			t.Fatalf("load what was printed: %v\n%s", err, printed)
		}
		if b, _ := again.YAML(); string(b) != string(printed) {
			t.Fatalf("printed\n%s\nthen\n%s", printed, b)
		}
	})
}
