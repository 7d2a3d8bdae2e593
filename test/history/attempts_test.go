package history

import "testing"

func TestCrashIsNoFailure(t *testing.T) {
	const dies = `
			1 n1 starts x 0.1.1 f7
			2 n kills n1
			2.1 n finds n1 dead`
	try(t, rules, []trial{
		{"a crash costs no attempt", dies + `
			8 n2 starts x 0.1.1 f8
			9 n2 ends x 0.1.1 f8 succeeded`, "", ""},
		{"a crash costs an attempt", dies + `
			8 n2 starts x 0.1.2 f8
			9 n2 ends x 0.1.2 f8 succeeded`, CrashIsNoFailure, "no attempt 1 has failed"},
		{"a failure costs one", `
			0 p sends x fails=1
			1 n1 starts x 0.1.1 f7
			2 n1 ends x 0.1.1 f7 failed
			3 n2 starts x 0.2.1 f8
			4 n2 ends x 0.2.1 f8 succeeded`, CrashIsNoFailure, "no attempt more"},
		{"a failure costs two", `
			0 p sends x fails=1
			1 n1 starts x 0.1.1 f7
			2 n1 ends x 0.1.1 f7 failed
			3 n2 starts x 0.2.3 f8
			4 n2 ends x 0.2.3 f8 succeeded`, CrashIsNoFailure, "no attempt 2 has failed"},
		{"a snooze costs none", `
			0 p sends x snoozes=1
			1 n1 starts x 0.1.1 f7
			2 n1 ends x 0.1.1 f7 snoozed
			3 n2 starts x 0.2.1 f8
			4 n2 ends x 0.2.1 f8 succeeded`, "", ""},
		{"a snooze costs one", `
			0 p sends x snoozes=1
			1 n1 starts x 0.1.1 f7
			2 n1 ends x 0.1.1 f7 snoozed
			3 n2 starts x 0.2.2 f8
			4 n2 ends x 0.2.2 f8 succeeded`, CrashIsNoFailure, "no attempt 1 has failed"},
		{"a timeout costs one", `
			0 p sends x
			1 n1 starts x 0.1.1 f7
			2 n1 ends x 0.1.1 f7 gave-up timeout
			3 n2 starts x 0.2.2 f8
			4 n2 ends x 0.2.2 f8 succeeded`, "", ""},
		{"an attempt that a lost session ends costs one", `
			1 n1 starts x 0.1.1 f7
			2 n1 ends x 0.1.1 f7 gave-up over
			3 n2 starts x 0.2.2 f8
			4 n2 ends x 0.2.2 f8 succeeded`, CrashIsNoFailure, "no attempt 1 has failed"},
		{"a replay begins anew", `
			0 p sends x fails=1 end=failed mended=1
			1 n1 starts x 0.1.1 f7
			2 n1 ends x 0.1.1 f7 failed
			3 n2 starts x 0.2.2 f8
			4 n2 ends x 0.2.2 f8 permanent
			5 n2 starts x 1.1.2 f9
			6 n2 ends x 1.1.2 f9 succeeded`, CrashIsNoFailure, "no attempt 1 has failed"},
	})
}
