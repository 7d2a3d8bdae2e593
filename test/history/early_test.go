package history

import "testing"

func TestNeverEarly(t *testing.T) {
	try(t, rules, []trial{
		{"in time", `
			0 p sends x not_before=5
			5 n1 starts x 0.1.1 f7
			6 n1 ends x 0.1.1 f7 succeeded`, "", ""},
		{"early", `
			0 p sends x not_before=5
			4.99 n1 starts x 0.1.1 f7
			6 n1 ends x 0.1.1 f7 succeeded`, NeverEarly, "starts 10ms before its time"},
		{"early by the clock of a node that was set ahead", `
			0 p sends x not_before=5
			1 n breaks clock target=n2 step=2s
			2 n mends clock
			3.5 n1 starts x 0.1.1 f7
			6 n1 ends x 0.1.1 f7 succeeded`, "", ""},
		{"early long after a clock was set ahead", `
			0 p sends x not_before=9
			1 n breaks clock target=n2 step=2s
			2 n mends clock
			8.5 n1 starts x 0.1.1 f7
			9 n1 ends x 0.1.1 f7 succeeded`, NeverEarly, "starts 500ms"},
		{"earlier than that clock was ahead", `
			0 p sends x not_before=5
			1 n breaks clock target=n2 step=1s
			2 n mends clock
			3.5 n1 starts x 0.1.1 f7
			6 n1 ends x 0.1.1 f7 succeeded`, NeverEarly, "starts 1.5s before its time"},
		{"a retry in time", `
			0 p sends x fails=1
			1 n1 starts x 0.1.1 f7
			2 n1 ends x 0.1.1 f7 failed
			3 n2 starts x 0.2.2 f8
			4 n2 ends x 0.2.2 f8 succeeded
			9 c finds x 0.2 in tasktier.retry.minute/0/0 at 2 due=2.9
			9 c finds x 0.2 in q.pending/0/4 at 2.9`, "", ""},
		{"a retry before its due", `
			0 p sends x fails=1
			1 n1 starts x 0.1.1 f7
			2 n1 ends x 0.1.1 f7 failed
			3 n2 starts x 0.2.2 f8
			4 n2 ends x 0.2.2 f8 succeeded
			9 c finds x 0.2 in tasktier.retry.minute/0/0 at 2 due=3.1`, NeverEarly, "starts 100ms before"},
		{"a record that comes back before its due, and starts late", `
			0 p sends x fails=1
			1 n1 starts x 0.1.1 f7
			2 n1 ends x 0.1.1 f7 failed
			4 n2 starts x 0.2.2 f8
			5 n2 ends x 0.2.2 f8 succeeded
			9 c finds x 0.2 in tasktier.retry.minute/0/0 at 2 due=3.1
			9 c finds x 0.2 in q.pending/0/4 at 2.9`, NeverEarly, "came back 200ms before its due"},
		{"a record that is sent again while the first one is handed on", `
			3 n2 starts x 0.1.1 f8
			4 n2 ends x 0.1.1 f8 succeeded
			9 c finds x 0.1 in q.pending/0/2 at 0.1
			9 c finds x 0.1 in tasktier.retry.minute/0/0 at 0.2 due=3
			9 c finds x 0.1 in q.pending/0/4 at 0.3`, "", ""},
		{"a delayed record that comes back early", `
			0 p sends x not_before=3
			3 n2 starts x 0.1.1 f8
			4 n2 ends x 0.1.1 f8 succeeded
			9 c finds x 0.1 in tasktier.retry.minute/0/0 at 0.2 due=3
			9 c finds x 0.1 in q.pending/0/4 at 2.9`, NeverEarly, "came back 100ms"},
		{"a foreign record that is not due goes to the tiers", `
			0 p sends x not_before=3
			3 n2 starts x 0.1.1 f8
			4 n2 ends x 0.1.1 f8 succeeded
			9 c finds x 0.1 in q.pending/0/2 at 0.1
			9 c finds x 0.1 in tasktier.retry.minute/0/0 at 0.2 due=3
			9 c finds x 0.1 in q.pending/0/4 at 3`, "", ""},
	})
}
