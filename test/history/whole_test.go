package history

import "testing"

func TestWhole(t *testing.T) {
	const done = `
			1 n1 starts x 0.1.1 f7
			2 n1 ends x 0.1.1 f7 succeeded`
	try(t, rules, []trial{
		{"a run of a task that nobody sent", done + `
			1 n1 starts z 0.1.1 f7`, Whole, "nobody has sent it"},
		{"a record of a task that nobody sent", done + `
			9 c finds z 0.1 in q.pending/0/1 at 1`, Whole, "nobody has sent it"},
		{"a record of no task that nobody sent", done + `
			9 c finds z 0.0 in q.pending/0/1 at 1 raw`, Whole, "nobody has sent the record"},
		{"an end without a start", done + `
			3 n1 ends x 0.2.1 f8 succeeded`, Whole, "did not start"},
		{"an end on another process", done + `
			3 n2 ends x 0.1.1 f7 succeeded`, Whole, "did not start"},
		{"an answer to no question", done + `
			3 o hears x succeeded succeeded`, Whole, "not asked for"},
		{"a cancellation of what nobody sent", done + `
			3 o cancels z
			4 o hears z unknown canceled
			9 c claims z canceled 2147483647.1 f0`, "", ""},
	})
}
