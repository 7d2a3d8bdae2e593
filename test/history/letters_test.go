package history

import "testing"

func TestLetters(t *testing.T) {
	const failed = `
			0 p sends x end=failed mended=1
			1 n1 starts x 0.1.1 f7
			2 n1 ends x 0.1.1 f7 permanent
			19 c collects q.dead
			19 c collects q.pending`
	const letter = `
			19 c finds x 0.1 in q.dead/0/0 at 2.1 reason=failed`
	try(t, rules, []trial{
		{"a letter", failed + letter, "", ""},
		{"another reason", failed + `
			19 c finds x 0.1 in q.dead/0/0 at 2.1 reason=exhausted`, Letters, "meant to die of failed"},
		{"a letter of what is meant to live", `
			1 n1 starts x 0.1.1 f7
			2 n1 ends x 0.1.1 f7 permanent
			19 c collects q.dead` + letter, Letters, "meant to die of nothing"},
		{"a letter before the death", failed + `
			19 c finds x 0.1 in q.dead/0/0 at 1.5 reason=failed`, Letters, "nothing of that kind had happened"},
		{"two letters", failed + letter + `
			19 c finds x 0.1 in q.dead/0/1 at 9.2 reason=failed`, Letters, "two letters"},
		{"two letters, and the process that wrote the first one died", failed + letter + `
			4 n kills n1
			4.1 n finds n1 dead
			19 c finds x 0.1 in q.dead/0/1 at 9.2 reason=failed`, "", ""},
		{"another payload", failed + `
			19 c finds x 0.1 in q.dead/0/0 at 2.1 reason=failed hash=1`, Intact, "q.dead/0/0"},
		{"taken away before its task is back", failed + letter + `
			3.5 n1 starts x 1.1.1 f8
			4 n1 ends x 1.1.1 f8 succeeded
			19 c finds nothing of x 0 in q.dead/0/1 at 3
			19 c finds x 1.1 in q.pending/0/1 at 3.2`, Letters, "taken away"},
		{"taken away when its task is back", failed + letter + `
			3.5 n1 starts x 1.1.1 f8
			4 n1 ends x 1.1.1 f8 succeeded
			19 c finds nothing of x 0 in q.dead/0/1 at 3.2
			19 c finds x 1.1 in q.pending/0/1 at 3.2`, "", ""},
		{"given up", failed + letter + `
			3 o purges x 0
			19 c finds nothing of x 0 in q.dead/0/1 at 3.2
			19 c claims x dead 0.1 f7`, "", ""},
		{"given up after it was gone", failed + letter + `
			3.5 o purges x 0
			19 c finds nothing of x 0 in q.dead/0/1 at 3.2
			19 c claims x dead 0.1 f7`, Letters, "taken away"},
		{"a generation that comes from nowhere", failed + `
			3.5 n1 starts x 1.1.1 f8
			4 n1 ends x 1.1.1 f8 succeeded
			19 c finds x 1.1 in q.pending/0/1 at 3.2`, Letters, "generation 0 has no letter"},
		{"exhausted", `
			0 p sends x end=exhausted max_attempts=2
			1 n1 starts x 0.1.1 f7
			2 n1 ends x 0.1.1 f7 failed
			3 n1 starts x 0.2.2 f8
			4 n1 ends x 0.2.2 f8 failed
			19 c collects q.dead
			19 c finds x 0.2 in q.dead/0/0 at 4.1 reason=exhausted`, "", ""},
		{"exhausted too soon", `
			0 p sends x end=exhausted max_attempts=3
			1 n1 starts x 0.1.1 f7
			2 n1 ends x 0.1.1 f7 failed
			3 n1 starts x 0.2.2 f8
			4 n1 ends x 0.2.2 f8 failed
			19 c collects q.dead
			19 c finds x 0.2 in q.dead/0/0 at 4.1 reason=exhausted`, Letters, "nothing of that kind"},
		{"expired", `
			0 p sends x expires=3
			19 c collects q.dead
			19 c finds x 0.1 in q.dead/0/0 at 3 reason=expired`, "", ""},
		{"expired too soon", `
			0 p sends x expires=3
			19 c collects q.dead
			19 c finds x 0.1 in q.dead/0/0 at 2.9 reason=expired`, Letters, "nothing of that kind"},
		{"unhandled", `
			0 p sends x end=unhandled
			19 c collects q.dead
			19 c finds x 0.1 in q.dead/0/0 at 3 reason=unhandled`, "", ""},
		{"no task at all", `
			0 p sends x end=undecodable
			19 c collects q.dead
			19 c collects claims
			19 c finds x 0.0 in q.pending/0/0 at 0.1 raw
			19 c finds x 0.0 in q.dead/0/0 at 3 reason=undecodable raw`, "", ""},
		{"no task at all, and no letter", `
			0 p sends x end=undecodable
			19 c collects q.dead
			19 c finds x 0.0 in q.pending/0/0 at 0.1 raw`, NothingLost, "did not end"},
	})
}
