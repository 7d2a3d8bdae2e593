package history

import "testing"

func TestOffsets(t *testing.T) {
	const fails = `
			0 p sends x fails=1
			1 n1 starts x 0.1.1 f7
			2 n1 ends x 0.1.1 f7 failed
			5 n2 starts x 0.2.2 f8
			6 n2 ends x 0.2.2 f8 succeeded
			0.1 w sees q.pending/0 2
			19 c finds x 0.1 in q.pending/0/2 at 0
			19 c finds x 0.2 in q.pending/0/9 at 4.9`
	const tier = `
			19 c finds x 0.2 in tasktier.retry.minute/0/0 at 2.1 due=4.9`
	try(t, rules, []trial{
		{"its successor is there", fails + tier + `
			3 w sees q.pending/0 3`, "", ""},
		{"its successor comes later", fails + `
			3 w sees q.pending/0 3`, Offsets, "passed"},
		{"it is passed while it runs", fails + tier + `
			1.5 w sees q.pending/0 3`, Offsets, "passed"},
		{"an offset that does not pass it", fails + tier + `
			1.5 w sees q.pending/0 2
			7 w sees q.pending/0 10`, "", ""},
		{"the successor is passed before it is done", fails + tier + `
			3 w sees q.pending/0 3
			5.5 w sees q.pending/0 10`, Offsets, "0.2"},
		{"the successor is passed in its tier before it came back", fails + tier + `
			3 w sees q.pending/0 3
			4 w sees tasktier.retry.minute/0 1`, Offsets, "tasktier.retry.minute"},
		{"the successor is passed in its tier when it came back", fails + tier + `
			3 w sees q.pending/0 3
			5 w sees tasktier.retry.minute/0 1`, "", ""},
		{"it succeeds", `
			1 n1 starts x 0.1.1 f7
			2 n1 ends x 0.1.1 f7 succeeded
			2.1 w sees q.pending/0 3
			19 c finds x 0.1 in q.pending/0/2 at 0`, "", ""},
		{"it succeeds on a process that dies at once, and is forgotten", `
			1 n1 starts x 0.1.1 f7
			2 n1 ends x 0.1.1 f7 succeeded
			2.1 w sees q.pending/0 3
			2.2 n kills n1
			2.3 n finds n1 dead
			3 n breaks redis server=redis forgets=flushed
			4 n mends redis
			5 n2 starts x 0.1.1 f8
			6 n2 ends x 0.1.1 f8 succeeded
			19 c claims x succeeded 0.1 f8 n2 at=6
			19 c finds x 0.1 in q.pending/0/2 at 0`, "", ""},
		{"it succeeds on a process that dies at once, and nobody knows its claim", `
			1 n1 starts x 0.1.1 f7
			2 n1 ends x 0.1.1 f7 succeeded
			2.1 w sees q.pending/0 3
			2.2 n kills n1
			2.3 n finds n1 dead
			19 c finds x 0.1 in q.pending/0/2 at 0`, "", ""},
		{"it succeeds on a process that dies at once, and was not recorded", `
			1 n1 starts x 0.1.1 f7
			2 n1 ends x 0.1.1 f7 succeeded
			2.1 w sees q.pending/0 3
			2.2 n kills n1
			2.3 n finds n1 dead
			5 n2 starts x 0.1.1 f8
			6 n2 ends x 0.1.1 f8 succeeded
			19 c claims x succeeded 0.1 f8 n2 at=6
			19 c finds x 0.1 in q.pending/0/2 at 0`, Offsets, "passed"},
		{"it succeeds without a session, and is recorded by a clock that is ahead", `
			0 n breaks clock target=n1 step=3s
			1 n1 starts x 0.1.1 f7
			1.5 n1 over
			2 n1 ends x 0.1.1 f7 succeeded
			2.2 w sees q.pending/0 3
			19 c claims x succeeded 0.1 f7 n1 at=5
			19 c finds x 0.1 in q.pending/0/2 at 0`, "", ""},
		{"it succeeds without a session, and is recorded later", `
			1 n1 starts x 0.1.1 f7
			1.5 n1 over
			2 n1 ends x 0.1.1 f7 succeeded
			2.2 w sees q.pending/0 3
			19 c claims x succeeded 0.1 f7 n1 at=5
			19 c finds x 0.1 in q.pending/0/2 at 0`, Offsets, "passed"},
		{"it succeeds later", `
			1 n1 starts x 0.1.1 f7
			2 n1 ends x 0.1.1 f7 succeeded
			1.9 w sees q.pending/0 3
			19 c finds x 0.1 in q.pending/0/2 at 0`, Offsets, "passed"},
		{"a zombie succeeds, and it is passed before the one that counts has", `
			1 n1 starts x 0.1.1 f7
			2 n pauses n1
			13 n2 starts x 0.1.1 f8
			15 n resumes n1
			15.1 n1 ends x 0.1.1 f7 succeeded
			16 w sees q.pending/0 3
			17 n2 ends x 0.1.1 f8 succeeded
			19 c claims x succeeded 0.1 f8 n2 at=17
			19 c finds x 0.1 in q.pending/0/2 at 0`, Offsets, "passed"},
		{"a copy is there", `
			2 w sees q.pending/0 3
			5 n1 starts x 0.1.1 f7
			6 n1 ends x 0.1.1 f7 succeeded
			7 w sees q.pending/0 9
			19 c finds x 0.1 in q.pending/0/2 at 0
			19 c finds x 0.1 in q.pending/0/8 at 1`, "", ""},
		{"a copy was there, and was passed", `
			2 w sees q.pending/0 9
			5 n1 starts x 0.1.1 f7
			6 n1 ends x 0.1.1 f7 succeeded
			1.5 w sees q.pending/0 2
			19 c finds x 0.1 in q.pending/0/2 at 0
			19 c finds x 0.1 in q.pending/0/8 at 1`, Offsets, "passed"},
		{"its letter is there", `
			0 p sends x end=failed
			1 n1 starts x 0.1.1 f7
			2 n1 ends x 0.1.1 f7 permanent
			2.2 w sees q.pending/0 3
			19 c finds x 0.1 in q.pending/0/2 at 0
			19 c finds x 0.1 in q.dead/0/2 at 2.1 reason=failed
			19 c collects q.dead`, "", ""},
		{"its letter comes later", `
			0 p sends x end=failed
			1 n1 starts x 0.1.1 f7
			2 n1 ends x 0.1.1 f7 permanent
			2.2 w sees q.pending/0 3
			19 c finds x 0.1 in q.pending/0/2 at 0
			19 c finds x 0.1 in q.dead/0/2 at 2.3 reason=failed
			19 c collects q.dead`, Offsets, "passed"},
		{"it is canceled", `
			1 o cancels x
			1.1 o hears x pending canceled
			2.2 w sees q.pending/0 3
			19 c finds x 0.1 in q.pending/0/2 at 0`, "", ""},
	})
}
