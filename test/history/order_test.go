package history

import "testing"

func TestNeverBack(t *testing.T) {
	try(t, rules, []trial{
		{"a turn goes back", `
			0 p sends x fails=1
			1 n1 starts x 0.1.1 f7
			2 n1 ends x 0.1.1 f7 failed
			3 n2 starts x 0.2.2 f8
			4 n kills n2
			4.1 n finds n2 dead
			5 n1 starts x 0.1.1 f9
			6 n1 ends x 0.1.1 f9 failed
			7 n1 starts x 0.2.2 f10
			8 n1 ends x 0.2.2 f10 succeeded
			0.5 n1 over
			2.5 n1 over`, NeverBack, "starts after run 0.2.2"},
		{"a turn goes back after a flush", `
			0 p sends x fails=1
			1 n1 starts x 0.1.1 f7
			2 n1 ends x 0.1.1 f7 failed
			3 n2 starts x 0.2.2 f8
			4 n2 ends x 0.2.2 f8 succeeded
			4.5 n breaks redis server=redis forgets=flushed
			4.6 n mends redis
			5 n1 starts x 0.1.1 f9
			6 n1 ends x 0.1.1 f9 failed
			7 n1 starts x 0.2.2 f10
			8 n1 ends x 0.2.2 f10 succeeded`, "", ""},
	})
}

func TestFencesGrow(t *testing.T) {
	const dies = `
			0 p sends x
			1 n1 starts x 0.1.1 f7
			2 n kills n1
			2.1 n finds n1 dead`
	try(t, rules, []trial{
		{"a larger one", dies + `
			8 n2 starts x 0.1.1 f8
			9 n2 ends x 0.1.1 f8 succeeded`, "", ""},
		{"a smaller one", dies + `
			8 n2 starts x 0.1.1 f6
			9 n2 ends x 0.1.1 f6 succeeded`, FencesGrow, "fence 6 starts after fence 7"},
		{"the same", dies + `
			8 n2 starts x 0.1.1 f7
			9 n2 ends x 0.1.1 f7 succeeded`, FencesGrow, "fence 7 starts after fence 7"},
		{"a smaller one after a flush", dies + `
			3 n breaks redis server=redis forgets=flushed
			3.1 n mends redis
			8 n2 starts x 0.1.1 f6
			9 n2 ends x 0.1.1 f6 succeeded`, "", ""},
	})
}
