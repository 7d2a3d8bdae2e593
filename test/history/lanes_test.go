package history

import "testing"

func TestOrderedByKey(t *testing.T) {
	const two = `
			0 p sends x key=k fails=1
			0 p sends y key=k
			19 c finds x 0.1 in q.pending/0/2 at 0
			19 c finds y 0.1 in q.pending/0/3 at 0
			1 n1 starts x 0.1.1 f7
			2 n1 ends x 0.1.1 f7 failed`
	try(t, rules, []trial{
		{"one after the other", two + `
			3 n1 starts x 0.1.2 f7
			4 n1 ends x 0.1.2 f7 succeeded
			4 n1 starts y 0.1.1 f8
			5 n1 ends y 0.1.1 f8 succeeded`, "", ""},
		{"while the one in front waits for its next attempt", two + `
			2.5 n1 starts y 0.1.1 f8
			2.6 n1 ends y 0.1.1 f8 succeeded
			3 n1 starts x 0.1.2 f7
			4 n1 ends x 0.1.2 f7 succeeded`, InOrder, "had not ended"},
		{"beside the one in front", two + `
			3 n1 starts x 0.1.2 f7
			3.5 n1 starts y 0.1.1 f8
			4 n1 ends x 0.1.2 f7 succeeded
			5 n1 ends y 0.1.1 f8 succeeded`, InOrder, "had not ended"},
		{"another key", `
			0 p sends x key=k
			0 p sends y key=l
			19 c finds x 0.1 in q.pending/0/2 at 0
			19 c finds y 0.1 in q.pending/0/3 at 0
			1 n1 starts x 0.1.1 f7
			1 n1 starts y 0.1.1 f7
			2 n1 ends x 0.1.1 f7 succeeded
			2 n1 ends y 0.1.1 f7 succeeded`, "", ""},
	})
}
