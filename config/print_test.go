package config

import (
	"strings"
	"testing"
	"time"
)

func TestPrintRoundTrip(t *testing.T) {
	full := Default()
	full.Kafka = Kafka{
		Brokers: []string{"a:1", "[::1]:2"}, Prefix: "null", Replication: 2,
		TLS: TLS{Enabled: true, CA: "C:\\ca", Cert: "a: b", Key: "#k"}, SASL: SASL{"PLAIN", "true", "~"},
	}
	full.Redis = nil
	full.Etcd.Username = " padded "
	full.Node = Node{Name: "0x10", Concurrency: 1, Drain: 90 * time.Minute, LeaseTTL: 3 * time.Second, MaxInflight: 2, MaxInflightBytes: 3*GiB/2 + 1}
	ordered := DefaultQueue()
	ordered.Ordered, ordered.MaxBytes = true, 1536
	full.Queues = map[string]Queue{"a.b": ordered, "7": DefaultQueue(), "true": DefaultQueue()}
	full.Types = map[string]Type{
		"email.send": {HTTP: &HTTPHandler{URL: "http://h/x#y", Timeout: time.Second}},
		"- odd: {":   {Exec: &ExecHandler{Command: []string{"sh", "-c", "echo 'a' \"b\"\n\tx", ""}, Dir: "/"}, Limit: 1, Retry: Retry{MaxAttempts: 2, Base: 1, Max: time.Hour}},
	}
	full.Schedules = map[string]Schedule{
		"nightly": {Cron: "0 2 * * *", Type: "t", Data: map[string]any{"a": []any{"1", true, nil, 1.5, uint64(18446744073709551615)}}},
	}
	for name, cfg := range map[string]Config{"default": Default(), "full": full} {
		t.Run(name, func(t *testing.T) {
			printed, err := cfg.YAML()
			if err != nil {
				t.Fatal(err)
			}
			equal(t, mustLoad(t, string(printed)), cfg)
			if t.Failed() {
				t.Logf("printed:\n%s", printed)
			}
		})
	}
}

func TestPrintIsForPeople(t *testing.T) {
	cfg := Default()
	printed, err := cfg.YAML()
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{"\n  drain: 30s\n", "    window: 1h\n", "    timeout: 30m\n", "    max_bytes: 1MiB\n", "    horizon: 8760h\n"} {
		if !strings.Contains(string(printed), line) {
			t.Errorf("%q is not in\n%s", line, printed)
		}
	}
}

func TestPrintHidesSecrets(t *testing.T) {
	cfg := mustLoad(t, `types:
  a: {http: {url: "https://user:SECRET@h/p?token=SECRET"}}
  b: {exec: {command: [x], env: [TOKEN=SECRET]}}
  c: {http: {url: "http://SECRET%zz"}}
`)
	printed, err := cfg.YAML()
	if err != nil {
		t.Fatal(err)
	}
	if s := string(printed); strings.Contains(s, "SECRET") || !strings.Contains(s, "https://user:xxxxx@h/p?token=xxxxx") || !strings.Contains(s, "TOKEN=xxxxx") {
		t.Errorf("printed\n%s", s)
	}
	if cfg.Types["a"].HTTP.URL != "https://user:SECRET@h/p?token=SECRET" || cfg.Types["b"].Exec.Env[0] != "TOKEN=SECRET" {
		t.Error("printing changed the configuration")
	}
}

func TestBytes(t *testing.T) {
	for s, want := range map[string]Bytes{
		"0": 0, "65536": 65536, "64KiB": 64 * KiB, "64 KiB": 64 * KiB, "1.5MiB": MiB * 3 / 2, "2GB": 2e9, "1kB": 1000, "7B": 7, "-1": -1,
		"9223372036854775807": 1<<63 - 1,
	} {
		if got, err := parseBytes(s); err != nil || got != want {
			t.Errorf("parse %q: %d, %v; want %d", s, got, err, want)
		}
	}
	for _, s := range []string{"", "MiB", "x", "1.0000001KiB", "1e400", "9223372036854775807KiB", "NaN", "Inf", "1 2", "0x10"} {
		if got, err := parseBytes(s); err == nil {
			t.Errorf("parse %q: %d, want an error", s, got)
		}
	}
}
