package history

import "testing"

func TestLimits(t *testing.T) {
	const two = `
			0 p sends x limit=1
			0 p sends y limit=1`
	try(t, rules, []trial{
		{"one after the other", two + `
			1 n1 starts x 0.1.1 f7 s3
			2 n1 ends x 0.1.1 f7 succeeded
			2 n2 starts y 0.1.1 f7 s4
			3 n2 ends y 0.1.1 f7 succeeded`, "", ""},
		{"two at once", two + `
			1 n1 starts x 0.1.1 f7 s3
			2 n2 starts y 0.1.1 f7 s4
			2.5 n1 ends x 0.1.1 f7 succeeded
			3 n2 ends y 0.1.1 f7 succeeded`, Limited, "number 2"},
		{"the one before was killed", two + `
			1 n1 starts x 0.1.1 f7 s3
			1.5 n kills n1
			1.6 n finds n1 dead
			2 n2 starts y 0.1.1 f7 s4
			3 n2 ends y 0.1.1 f7 succeeded
			4 n2 starts x 0.1.1 f8 s4
			5 n2 ends x 0.1.1 f8 succeeded`, "", ""},
		{"the one before is a zombie", two + `
			1 n1 starts x 0.1.1 f7 s3
			2 n pauses n1
			13 n2 starts y 0.1.1 f7 s4
			15 n resumes n1
			15.1 n1 ends x 0.1.1 f7 succeeded over
			16 n2 ends y 0.1.1 f7 succeeded`, "", ""},
		{"the one before has lost its session", two + `
			1 n1 starts x 0.1.1 f7 s3
			3 n1 over
			4 n2 starts y 0.1.1 f7 s4
			4.5 n1 ends x 0.1.1 f7 succeeded over
			5 n2 ends y 0.1.1 f7 succeeded`, "", ""},
		{"the one before does not know yet that it has lost its session", two + `
			1 n1 starts x 0.1.1 f7 s3
			3 n1 over
			3.2 n2 starts y 0.1.1 f7 s4
			3.3 n1 ends x 0.1.1 f7 succeeded
			5 n2 ends y 0.1.1 f7 succeeded`, "", ""},
		{"a zombie starts late", two + `
			0.5 n pauses n1
			12 n2 starts y 0.1.1 f7 s4
			13 n resumes n1
			13.1 n1 starts x 0.1.1 f7 s3
			13.2 n1 ends x 0.1.1 f7 gave-up over
			14 n2 ends y 0.1.1 f7 succeeded
			15 n2 starts x 0.1.1 f8 s4
			16 n2 ends x 0.1.1 f8 succeeded`, "", ""},
		{"a token goes back", two + `
			1 n1 starts x 0.1.1 f7 s4
			2 n1 ends x 0.1.1 f7 succeeded
			2 n2 starts y 0.1.1 f7 s3
			3 n2 ends y 0.1.1 f7 succeeded`, Limited, "token 3"},
		{"a token goes back where etcd lost its data", two + `
			1 n1 starts x 0.1.1 f7 s4
			1.5 n breaks etcd server=etcd forgets=flushed
			1.6 n mends etcd
			2 n1 ends x 0.1.1 f7 succeeded
			2 n2 starts y 0.1.1 f7 s3
			3 n2 ends y 0.1.1 f7 succeeded`, "", ""},
		{"a token of two processes", `
			0 p sends x limit=2
			0 p sends y limit=2
			1 n1 starts x 0.1.1 f7 s4
			2 n1 ends x 0.1.1 f7 succeeded
			2 n2 starts y 0.1.1 f7 s4
			3 n2 ends y 0.1.1 f7 succeeded`, Limited, "as had"},
		{"no token", two + `
			1 n1 starts x 0.1.1 f7 s3
			2 n1 ends x 0.1.1 f7 succeeded
			2 n2 starts y 0.1.1 f7
			3 n2 ends y 0.1.1 f7 succeeded`, Limited, "no token"},
	})
}
