package config

import (
	"reflect"
	"testing"
	"time"
)

func TestEnvGoesOverTheFile(t *testing.T) {
	cfg := mustLoad(t, `
kafka: {brokers: [file:1], create_topics: true}
node: {name: file, concurrency: 7, drain: 1m}
queues:
  mail.bulk: {weight: 2, window: 2h}
types:
  report.make: {exec: {command: [a]}, limit: 1}
schedules:
  nightly: {cron: "0 2 * * *", type: report.make}
`,
		"PATH=/bin", "TASKTIER",
		"TASKTIER_KAFKA_BROKERS=a:1, b:2,,", "TASKTIER_KAFKA_CREATE_TOPICS=false", "TASKTIER_KAFKA_SASL_USER=x=y",
		"TASKTIER_NODE_NAME=", "TASKTIER_NODE_CONCURRENCY=", "TASKTIER_NODE_MAX_INFLIGHT_BYTES=1GiB",
		"TASKTIER_NODE_DRAIN=1s", "TASKTIER_NODE_DRAIN=2s",
		"TASKTIER_QUEUES_MAIL_BULK_WEIGHT=3", "TASKTIER_QUEUES_MAIL_BULK_ID_WINDOW=48h", "TASKTIER_QUEUES_MAIL_BULK_RETRY_MAX_ATTEMPTS=4",
		"TASKTIER_TYPES_REPORT_MAKE_HTTP_URL=http://h/", "TASKTIER_TYPES_REPORT_MAKE_EXEC_COMMAND=b,c d",
		`TASKTIER_SCHEDULES_NIGHTLY_DATA={"a":[1]}`,
		"TASKTIER_ETCD_PREFIX=/x",
	)
	equalValue(t, cfg.Kafka.Brokers, []string{"a:1", "b:2"})
	equalValue(t, cfg.Kafka.CreateTopics, false)
	equalValue(t, cfg.Kafka.SASL.User, "x=y")
	equalValue(t, cfg.Node.Name, "")
	equalValue(t, cfg.Node.Concurrency, 7)
	equalValue(t, cfg.Node.MaxInflightBytes, GiB)
	equalValue(t, cfg.Node.Drain, 2*time.Second)
	queue := DefaultQueue()
	queue.Weight, queue.Window, queue.IDWindow, queue.Retry.MaxAttempts = 3, 2*time.Hour, 48*time.Hour, 4
	equalValue(t, cfg.Queues, map[string]Queue{"mail.bulk": queue})
	equalValue(t, cfg.Types, map[string]Type{
		"report.make": {HTTP: &HTTPHandler{URL: "http://h/"}, Exec: &ExecHandler{Command: []string{"b", "c d"}}, Limit: 1},
	})
	equalValue(t, cfg.Schedules["nightly"].Data, any(map[string]any{"a": []any{uint64(1)}}))
	equalValue(t, cfg.Etcd, &Etcd{Endpoints: []string{"127.0.0.1:2379"}, Prefix: "/x"})
	if cfg.Redis != nil {
		t.Error("redis is configured, but neither the file nor a variable says so")
	}
}

func equalValue[T any](t *testing.T, got, want T) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func TestEnvWithoutAFile(t *testing.T) {
	t.Chdir(t.TempDir())
	cfg, err := Load("", []string{"TASKTIER_REDIS_WHEN_AWAY=proceed"})
	if err != nil {
		t.Fatal(err)
	}
	want := Default()
	want.Redis.WhenAway = Proceed
	equal(t, cfg, want)
}

func TestEnvAddsQueues(t *testing.T) {
	for name, c := range map[string]struct {
		variable, queue string
		want            func(*Queue)
	}{
		"a new one":                {"TASKTIER_QUEUES_MAIL_WEIGHT=3", "mail", func(q *Queue) { q.Weight = 3 }},
		"with an underscore":       {"TASKTIER_QUEUES_MAIL_BULK_WEIGHT=3", "mail_bulk", func(q *Queue) { q.Weight = 3 }},
		"the longest key wins":     {"TASKTIER_QUEUES_MAIL_ID_WINDOW=3h", "mail", func(q *Queue) { q.IDWindow = 3 * time.Hour }},
		"nested":                   {"TASKTIER_QUEUES_MAIL_RETRY_MAX=3h", "mail", func(q *Queue) { q.Retry.Max = 3 * time.Hour }},
		"one called like a key":    {"TASKTIER_QUEUES_WINDOW_WINDOW=3h", "window", func(q *Queue) { q.Window = 3 * time.Hour }},
		"an existing one is found": {"TASKTIER_QUEUES_TASKS_ID_WINDOW=3h", "tasks", func(q *Queue) { q.IDWindow = 3 * time.Hour }},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := mustLoad(t, "", c.variable)
			want := map[string]Queue{"tasks": DefaultQueue()}
			q := DefaultQueue()
			c.want(&q)
			want[c.queue] = q
			equalValue(t, cfg.Queues, want)
		})
	}
}

func TestEnvRefuses(t *testing.T) {
	const file = "queues: {mail: , mail_id: , a.b: , a-b: }\ntypes: {x: {limit: 1}}\n"
	for variable, want := range map[string]string{
		"TASKTIER_KAFKA_BROKER=a:1":         "TASKTIER_KAFKA_BROKER: unknown variable: it is no key of the configuration",
		"TASKTIER_KAFKA=a":                  "TASKTIER_KAFKA: unknown variable: it is no key of the configuration",
		"TASKTIER_KAFKA_BROKERS_0=a":        "TASKTIER_KAFKA_BROKERS_0: unknown variable: it is no key of the configuration",
		"TASKTIER_=a":                       "TASKTIER_: unknown variable: it is no key of the configuration",
		"TASKTIER_QUEUES=a":                 "TASKTIER_QUEUES: unknown variable: it is no key of the configuration",
		"TASKTIER_QUEUES_MAIL=a":            "TASKTIER_QUEUES_MAIL: unknown variable: it is no key of the configuration",
		"TASKTIER_QUEUES_MAIL_WIEGHT=3":     "TASKTIER_QUEUES_MAIL_WIEGHT: unknown variable: it is no key of the configuration",
		"TASKTIER_QUEUES_NEW_WEIGHT=x":      `TASKTIER_QUEUES_NEW_WEIGHT: queues.new.weight: "x" is no whole number`,
		"TASKTIER_QUEUES_MAIL_ID_WINDOW=1h": "TASKTIER_QUEUES_MAIL_ID_WINDOW: means both queues.mail.id_window and queues.mail_id.window; set it in the file",
		"TASKTIER_QUEUES_A_B_WEIGHT=3":      "TASKTIER_QUEUES_A_B_WEIGHT: means both queues.a-b.weight and queues.a.b.weight; set it in the file",
		"TASKTIER_KAFKA_BROKERS=\xe1:1":     "TASKTIER_KAFKA_BROKERS: kafka.brokers: not valid UTF-8",
		"TASKTIER_NODE_DRAIN=30":            `TASKTIER_NODE_DRAIN: node.drain: "30" is no duration; write one like 500ms, 30s, 10m or 24h`,
		"TASKTIER_NODE_HTTP_PORT=9400":      "TASKTIER_NODE_HTTP_PORT: unknown variable: it is no key of the configuration",
		"TASKTIER_TYPES_Y_LIMIT=3":          `TASKTIER_TYPES_Y_LIMIT: no entry and key under "types" is called so; a variable can change an entry of the file, not add one (upper case hides its name)`,
		"TASKTIER_SCHEDULES_N_CRON=x":       `TASKTIER_SCHEDULES_N_CRON: no entry and key under "schedules" is called so; a variable can change an entry of the file, not add one (upper case hides its name)`,
	} {
		_, err := Load(write(t, file), []string{variable})
		isError(t, err, want)
	}
}

func TestEnvLeavesOthersAlone(t *testing.T) {
	mustLoad(t, "",
		"TASKTIER_TEST_STACK=embedded", "TASKTIER_TASK_ID=7", "TASKTIER_TASK_PORT=1", "TASKTIER_HEADER_CE_X=y", // ours
		// A Service called tasktier, and one called tasktier-kafka, as Kubernetes announces them to pods.
		"TASKTIER_SERVICE_HOST=10.0.0.1", "TASKTIER_SERVICE_PORT=9400", "TASKTIER_SERVICE_PORT_METRICS=9400",
		"TASKTIER_PORT=tcp://10.0.0.1:9400", "TASKTIER_PORT_9400_TCP=tcp://10.0.0.1:9400", "TASKTIER_PORT_9400_TCP_PROTO=tcp",
		"TASKTIER_PORT_9400_TCP_PORT=9400", "TASKTIER_PORT_9400_TCP_ADDR=10.0.0.1",
		"TASKTIER_KAFKA_SERVICE_HOST=10.0.0.2", "TASKTIER_KAFKA_PORT=tcp://10.0.0.2:9092", "TASKTIER_KAFKA_PORT_9092_TCP_ADDR=10.0.0.2",
		"TASKTIER_CONFIG=tasktier.yaml", "tasktier_node_name=x", "OTHER=1",
	)
}
