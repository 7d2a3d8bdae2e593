package config

import "testing"

func TestPayloadIsJSON(t *testing.T) {
	for _, c := range []struct{ data, want string }{
		{"", ""},
		{"data: null", ""},
		{"data: {}", "{}"},
		{"data: text", `"text"`},
		{"data: {b: <&>, a: [1, 2.5, true, null]}", `{"a":[1,2.5,true,null],"b":"<&>"}`},
		{"data: {big: 18446744073709551615}", `{"big":18446744073709551615}`},
	} {
		cfg := mustLoad(t, "schedules: {n: {"+c.data+"}}")
		got, err := cfg.Schedules["n"].Payload()
		if err != nil || string(got) != c.want || (got == nil) != (c.want == "") {
			t.Errorf("%s: got %q, %v, want %q", c.data, got, err, c.want)
		}
	}
}

func TestQueueOfASchedule(t *testing.T) {
	for _, c := range []struct{ file, want string }{
		{"schedules: {n: {}}", "tasks"},
		{"queues: {mail: }", "mail"},
		{"queues: {mail: , tasks: }", "tasks"},
		{"queues: {mail: , tasks: }\nschedules: {n: {queue: mail}}", "mail"},
	} {
		cfg := mustLoad(t, c.file)
		if got := cfg.QueueOf(cfg.Schedules["n"]); got != c.want {
			t.Errorf("%s: got %s, want %s", c.file, got, c.want)
		}
	}
}
