package config

import (
	"strings"
	"testing"
	"time"
)

func TestValidateDefault(t *testing.T) {
	cfg := Default()
	if err := cfg.Validate(); err != nil {
		t.Error(err)
	}
}

func TestValidateNamesWhatIsWrong(t *testing.T) {
	for _, c := range []struct{ file, want string }{
		{"kafka:\n  brokers: []\n", "tasktier.yaml:2: kafka.brokers: is empty; name at least one, as host:port"},
		{"kafka:\n  brokers:\n  - a:1\n  - b\n", `tasktier.yaml:2: kafka.brokers[1]: is "b"; write host:port`},
		{"kafka: {brokers: ['a:0']}", `tasktier.yaml:1: kafka.brokers[0]: is "a:0"; write host:port`},
		{"kafka: {brokers: ['http://a:1']}", `tasktier.yaml:1: kafka.brokers[0]: is "http://a:1"; write host:port`},
		{"kafka: {brokers: ['[::1]:9092']}", ""},
		{"kafka: {prefix: a b}", `tasktier.yaml:1: kafka.prefix: "a b" can't begin the names of topics and groups; use ASCII letters, digits, '_', '-' and '.' inside`},
		{"kafka: {replication: -1}", "tasktier.yaml:1: kafka.replication: is -1; use 1 or more, or 0 to choose by the brokers there are"},
		{"kafka: {tls: {ca: CA}}", "tasktier.yaml:1: kafka.tls.enabled: is false, but certificates are set\ntasktier.yaml:1: kafka.tls.ca: can't read CA: no such file or directory"},
		{"kafka:\n  tls: {enabled: true, cert: tasktier.yaml}\n", "tasktier.yaml:2: kafka.tls: needs both cert and key, or neither"},
		{"kafka: {sasl: {mechanism: plain}}", `tasktier.yaml:1: kafka.sasl.mechanism: is "plain"; use PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512`},
		{"kafka: {sasl: {user: u}}", "tasktier.yaml:1: kafka.sasl.mechanism: is empty, but a user or a password is set"},
		{"kafka: {sasl: {mechanism: PLAIN, password_file: none}}", "tasktier.yaml:1: kafka.sasl.user: is empty, but a mechanism is set\ntasktier.yaml:1: kafka.sasl.password_file: can't read none: no such file or directory"},
		{"redis: {addresses: ['a:1', 'b:1']}", "tasktier.yaml:1: redis.addresses: has 2 addresses; several need cluster: true"},
		{"redis: {addresses: ['a:1', 'b:1'], cluster: true}", ""},
		{"redis: {when_away: panic}", `tasktier.yaml:1: redis.when_away: is "panic"; use wait or proceed`},
		{"etcd: {endpoints: ['https://a:1/', b]}", `tasktier.yaml:1: etcd.endpoints[1]: is "b"; write host:port`},
		{"etcd: {prefix: ''}", "tasktier.yaml:1: etcd.prefix: is empty; without one, keys of others are at risk"},
		{"etcd: {password_file: tasktier.yaml}", "tasktier.yaml:1: etcd.username: is empty, but a password is set"},
		{"node: {concurrency: 0}", "tasktier.yaml:1: node.concurrency: is 0; at least 1"},
		{"node:\n  drain: 0s\n  lease_ttl: 999ms\n", "tasktier.yaml:2: node.drain: is 0s; it must be longer than 0\ntasktier.yaml:3: node.lease_ttl: is 999ms; whole seconds, at least 2s"},
		{"node: {max_inflight: 99}", "tasktier.yaml:1: node.max_inflight: is 99; at least node.concurrency, which is 100"},
		{"node: {http: 9400}", `tasktier.yaml:1: node.http: is "9400"; write host:port or :port, or "" for none`},
		{"node: {http: ''}", ""},
		{"node: {http: '127.0.0.1:0'}", ""},
		{"queues: {}", `tasktier.yaml:1: queues: is empty; name at least one queue, or leave the section out for the queue "tasks"`},
		{"queues:\n  a b:\n", `tasktier.yaml:2: queues.a b: invalid queue name: "a b" has " " at byte 1; use ASCII letters, digits, '.', '_' and '-'`},
		{"queues:\n  a.b:\n  a_b:\n", `tasktier.yaml:3: queues.a_b: is the same as "a.b" to Kafka, which keeps '.' and '_' apart in no metric; rename one`},
		{"queues: {q: {weight: 0}}", "tasktier.yaml:1: queues.q.weight: is 0; at least 1 (to stop a queue, pause it)"},
		{"queues: {q: {partitions: 0}}", "tasktier.yaml:1: queues.q.partitions: is 0; use 1 to 100000"},
		{"queues: {q: {window: 0s, id_window: -1s}}", "tasktier.yaml:1: queues.q.window: is 0s; it must be longer than 0\ntasktier.yaml:1: queues.q.id_window: is -1s; it must be longer than 0"},
		{"queues: {q: {retry: {max_attempts: 0}}}", "tasktier.yaml:1: queues.q.retry.max_attempts: is 0; at least 1"},
		{"queues: {q: {retry: {base: 7h}}}", "tasktier.yaml:1: queues.q.retry.max: is 6h0m0s; at least retry.base, which is 7h0m0s"},
		{"queues: {q: {timeout: 1us, horizon: 0s, history: 0s}}", "tasktier.yaml:1: queues.q.timeout: is 1µs; at least 1ms\ntasktier.yaml:1: queues.q.horizon: is 0s; it must be longer than 0\ntasktier.yaml:1: queues.q.history: is 0s; it must be longer than 0"},
		{"queues: {q: {keep_for: [audit]}}", ""},
		{"queues:\n  q:\n    keep_for:\n    - audit\n    - ' '\n", "tasktier.yaml:3: queues.q.keep_for[1]: is empty; name a consumer group, or leave keep_for out for none"},
		{"queues: {q: {max_bytes: 100}}", "tasktier.yaml:1: queues.q.max_bytes: is 100; use 1KiB to 1GiB"},
		{"queues: {q: {max_bytes: 65MiB}}", "node.max_inflight_bytes: is 64MiB; at least queues.q.max_bytes, which is 65MiB"},
		{"types: {a.b: {limit: 1}}", ""}, // its handler is Go
		{"types:\n  a.b:\n", "tasktier.yaml:2: types.a.b: says nothing; give it a handler, http or exec, or a setting for the handler of a Go program"},
		{"types:\n  a.b:\n    http: {url: http://h}\n    exec: {command: [x]}\n", "tasktier.yaml:2: types.a.b: has two handlers, http and exec; choose one"},
		{"types:\n  a.b:\n    http:\n      url: ftp://u:secret@h\n", "tasktier.yaml:4: types.a.b.http.url: is no address of a service; write one like http://127.0.0.1:9000/path"},
		{"types:\n  a.b:\n    http: {timeout: 1s}\n", "tasktier.yaml:3: types.a.b.http.url: is no address of a service; write one like http://127.0.0.1:9000/path"},
		{"types:\n  a.b:\n    exec: {command: ['']}\n", "tasktier.yaml:3: types.a.b.exec.command: is empty; name the program and its arguments"},
		{"types: {a: {exec: {command: [x]}, limit: -1, timeout: -1s, retry: {base: 2h, max: 1h}}}", "tasktier.yaml:1: types.a.timeout: is -1s; at least 1ms, or 0 for the queue's\ntasktier.yaml:1: types.a.limit: is -1; use 0 for none, or more\ntasktier.yaml:1: types.a.retry.max: is 1h0m0s; at least retry.base, which is 2h0m0s"},
		{"schedules: {n: {}}", "tasktier.yaml:1: schedules.n.cron: is empty; say when, as in \"0 2 * * *\"\ntasktier.yaml:1: schedules.n.type: is empty; name the type of task to send"},
		{"schedules: {n: {cron: '0 2 * * *', zone: Europe/Berlin, type: t, missed: once, data: {a: 1}}}", ""},
		{"schedules: {n.b_c-1: {cron: '@every 90s', type: t, queue: tasks, missed: all}}", ""},
		{"schedules:\n  n:\n    type: t\n    cron: 0 2 * *\n", `tasktier.yaml:4: schedules.n.cron: read cron expression "0 2 * *": expected 5 to 6 fields, found 4: [0 2 * *]`},
		{"schedules:\n  n:\n    type: t\n    cron: TZ=UTC 0 2 * * *\n", `tasktier.yaml:4: schedules.n.cron: read cron expression "TZ=UTC 0 2 * * *": it names a zone; that goes beside it (zone)`},
		{"schedules:\n  n:\n    type: t\n    cron: 0 2 * * *\n    zone: Berlin\n", `tasktier.yaml:5: schedules.n.zone: find time zone "Berlin": there is none of that name; use one like Europe/Berlin, or none for UTC`},
		{"schedules:\n  n:\n    type: t\n    cron: 0 2 * * *\n    missed: some\n", `tasktier.yaml:5: schedules.n.missed: is "some"; use skip, once or all`},
		{"schedules:\n  n:\n    type: t\n    cron: 0 2 * * *\n    queue: mail\n", `tasktier.yaml:5: schedules.n.queue: is "mail", which is none of the configured queues`},
		{"queues: {a: , b: }\nschedules:\n  n: {type: t, cron: '@daily'}\n", `tasktier.yaml:3: schedules.n.queue: is "tasks", which is none of the configured queues`},
		{"queues: {a: }\nschedules:\n  n: {type: t, cron: '@daily'}\n", ""},
		{"schedules:\n  a b: {type: t, cron: '@daily'}\n", `tasktier.yaml:2: schedules.a b: "a b" can't be the name of a schedule; use ASCII letters, digits, '_', '-', and '.' inside`},
		{"queues: {tasks: {max_bytes: 1KiB}}\nschedules:\n  n: {type: t, cron: '@daily', data: " + strings.Repeat("x", 511) + "}\n",
			"tasktier.yaml:3: schedules.n.data: is 513 as JSON; with its attributes it does not fit queues.tasks.max_bytes, which is 1KiB"},
	} {
		cfg := mustLoad(t, c.file)
		err := cfg.Validate()
		if c.want == "" {
			if err != nil {
				t.Errorf("%s: %v", c.file, err)
			}
			continue
		}
		isError(t, err, c.want)
	}
}

// What is wrong is named by what set it: a variable, or nothing when the program did.
func TestValidateSaysWhoSetIt(t *testing.T) {
	cfg := mustLoad(t, "node: {concurrency: 5}\n", "TASKTIER_NODE_CONCURRENCY=-5")
	isError(t, cfg.Validate(), "TASKTIER_NODE_CONCURRENCY: node.concurrency: is -5; at least 1")

	cfg = Default()
	cfg.Node.Drain = -time.Second
	isError(t, cfg.Validate(), "node.drain: is -1s; it must be longer than 0")
}

func TestProblemIsOneLine(t *testing.T) {
	cfg := mustLoad(t, "kafka: {brokers: [\"a\\nb\"], prefix: \"x\\ny\"}\nqueues: {\"q\\nr\": }\n")
	err := cfg.Validate()
	if err == nil || strings.Count(err.Error(), "\n") != 2 {
		t.Errorf("got %q, want three lines", err)
	}
}
