package history

import "testing"

func TestPoison(t *testing.T) {
	const killer = `
			0 p sends x kills end=poison
			1 n1 starts x 0.1.1 f7
			1.1 n finds n1 dead
			8 n2 starts x 0.1.1 f8
			8.1 n finds n2 dead`
	const innocent = `
			0 p sends x
			0 p sends y
			1 n1 starts x 0.1.1 f7
			1.1 n kills n1
			1.2 n finds n1 dead
			8 n2 starts x 0.1.1 f8
			8.1 n kills n2
			8.2 n finds n2 dead
			15 n3 starts x 0.1.1 f9
			15.4 n3 ends y 0.1.1 f7 succeeded
			29 c finds x 0.1 in q.dead/0/0 at 25 reason=poison
			29 c collects q.dead`
	try(t, rules, []trial{
		{"it takes three down", killer + `
			15 n3 starts x 0.1.1 f9
			15.1 n finds n3 dead
			29 c finds x 0.1 in q.dead/0/0 at 25 reason=poison
			29 c collects q.dead`, "", ""},
		{"it takes two down", killer + `
			29 c finds x 0.1 in q.dead/0/0 at 25 reason=poison
			29 c collects q.dead`, Letters, "nothing of that kind"},
		{"it takes two down, and was begun on a third that was killed", killer + `
			20 n kills n9
			20.1 n finds n9 dead
			29 c finds x 0.1 in q.dead/0/0 at 25 reason=poison
			29 c collects q.dead`, "", ""},
		{"an innocent that was not alone", innocent + `
			14 n3 starts y 0.1.1 f7
			15.1 n kills n3
			15.5 n finds n3 dead`, Letters, "took no process down"},
		{"an innocent that was alone when somebody killed the process", innocent + `
			14 n3 starts y 0.1.1 f7
			15.5 n kills n3
			15.6 n finds n3 dead`, "", ""},
		{"an innocent that was alone when its process was paused", innocent + `
			14 n3 starts y 0.1.1 f7
			15.5 n pauses n3
			26 n resumes n3
			26.1 n3 ends x 0.1.1 f9 gave-up over`, "", ""},
		{"a process that dies by itself", `
			1 n1 starts x 0.1.1 f7
			2 n finds n1 dead
			8 n2 starts x 0.1.1 f8
			9 n2 ends x 0.1.1 f8 succeeded`, NoCrash, "nothing had killed it"},
	})
}

// TestPoisonByItself: an innocent task that was alone on a process that died, though nobody killed it, was not taken for
// poison by mistake of the nemesis: both are told.
func TestPoisonByItself(t *testing.T) {
	report, err := Check(All(parse(t, `
		0 p sends x
		1 n1 starts x 0.1.1 f7
		2 n finds n1 dead
		9 c finds x 0.1 in q.dead/0/0 at 5 reason=poison
		9 c collects q.dead`)...), rules)
	must(t, err)
	if report.Violated[NoCrash] != 1 || report.Violated[Letters] != 1 || report.Mistaken != 0 {
		t.Errorf("%v, and %d mistaken", report.Violated, report.Mistaken)
	}
}
