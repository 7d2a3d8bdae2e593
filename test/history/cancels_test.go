package history

import "testing"

func TestCanceledStays(t *testing.T) {
	const failed = `
			0 p sends x fails=1
			1 n1 starts x 0.1.1 f7
			2 n1 ends x 0.1.1 f7 failed
			3 o cancels x
			3.1 o hears x retrying canceled`
	const asked = `
			0 p sends x fails=1
			1 n1 starts x 0.1.1 f7
			1.5 o cancels x
			1.6 o hears x running running asked`
	try(t, rules, []trial{
		{"it starts no more", failed, "", ""},
		{"it starts", failed + `
			4 n1 starts x 0.2.2 f8
			5 n1 ends x 0.2.2 f8 succeeded`, CanceledStays, "starts after it was canceled"},
		{"it starts after a flush", failed + `
			3.5 n breaks redis server=redis forgets=flushed
			3.6 n mends redis
			4 n1 starts x 0.2.2 f8
			5 n1 ends x 0.2.2 f8 succeeded`, "", ""},
		{"it starts before the answer", `
			0.5 o cancels x
			1.5 o hears x pending canceled
			1 n1 starts x 0.1.1 f7
			2 n1 ends x 0.1.1 f7 gave-up canceled`, "", ""},
		{"its run is asked to end", asked + `
			2 n1 ends x 0.1.1 f7 gave-up canceled
			9 c claims x canceled 0.1 f7`, "", ""},
		{"its run succeeds all the same", asked + `
			2 n1 ends x 0.1.1 f7 succeeded canceled
			9 c claims x succeeded 0.1 f7 n1`, "", ""},
		{"its run succeeds, and it is canceled", asked + `
			2 n1 ends x 0.1.1 f7 succeeded canceled
			9 c claims x canceled 0.1 f7`, CanceledStays, "had succeeded"},
		{"its run is asked to end, and another one starts", asked + `
			2 n1 ends x 0.1.1 f7 failed
			4 n1 starts x 0.2.2 f8
			5 n1 ends x 0.2.2 f8 succeeded`, CanceledStays, "asked"},
		{"its process dies, and it is taken over", asked + `
			2 n kills n1
			2.1 n finds n1 dead
			9 n2 starts x 0.1.1 f8
			10 n2 ends x 0.1.1 f8 succeeded`, CanceledStays, "asked"},
		{"it was about to start when it was asked to end", `
			0.5 o cancels x
			0.6 o hears x running running asked
			1 n1 starts x 0.1.1 f7
			2 n1 ends x 0.1.1 f7 gave-up canceled
			9 c claims x canceled 0.1 f7`, "", ""},
		{"a replay of what was canceled before", `
			0 p sends x end=failed mended=1
			1 n1 starts x 0.1.1 f7
			2 n1 ends x 0.1.1 f7 permanent
			3 o cancels x
			3.1 o hears x pending canceled
			4 n1 starts x 1.1.1 f8
			5 n1 ends x 1.1.1 f8 succeeded
			9 c finds x 0.1 in q.dead/0/0 at 2.1 reason=failed
			9 c finds x 1.1 in q.pending/0/3 at 2.9
			9 c collects q.dead
			9 c claims x succeeded 1.1 f8 n1`, CanceledStays, "starts after it was canceled"},
		{"a replay after it was canceled", `
			0 p sends x end=failed mended=1
			1 n1 starts x 0.1.1 f7
			2 n1 ends x 0.1.1 f7 permanent
			2.5 o cancels x
			2.6 o hears x pending canceled
			4 n1 starts x 1.1.1 f8
			5 n1 ends x 1.1.1 f8 succeeded
			9 c finds x 0.1 in q.dead/0/0 at 2.1 reason=failed
			9 c finds x 1.1 in q.pending/0/3 at 3
			9 c collects q.dead
			9 c claims x succeeded 1.1 f8 n1`, "", ""},
		{"a replay is a later wish", `
			0 p sends x end=failed mended=1
			1 n1 starts x 0.1.1 f7
			1.5 o cancels x
			1.6 o hears x running running asked
			2 n1 ends x 0.1.1 f7 permanent canceled
			3 o replays x 1
			4 n1 starts x 1.1.1 f8
			5 n1 ends x 1.1.1 f8 succeeded
			9 c finds x 0.1 in q.dead/0/0 at 2.1 reason=failed
			9 c finds x 1.1 in q.pending/0/3 at 3
			9 c collects q.dead
			9 c claims x succeeded 1.1 f8 n1`, "", ""},
	})
}
