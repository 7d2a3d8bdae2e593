package history

import "testing"

func TestNothingLost(t *testing.T) {
	try(t, rules, []trial{
		{"a task that succeeds", `
			1 n1 starts x 0.1.1 f7
			2 n1 ends x 0.1.1 f7 succeeded
			9 c claims x succeeded 0.1 f7 n1
			9 c collects claims`, "", ""},
		{"nobody ran it", ``, NothingLost, "did not end"},
		{"nobody ran it, and it was not acknowledged", `0 p gives x`, "", ""},
		{"nobody ran it, and it was not acknowledged, but it is there", `
			0 p gives x
			9 c finds x 0.1 in q.pending/0/2 at 0.5`, NothingLost, "did not end"},
		{"it still runs", `
			1 n1 starts x 0.1.1 f7`, NothingLost, "did not end"},
		{"its claim was left behind", `
			1 n1 starts x 0.1.1 f7
			2 n1 ends x 0.1.1 f7 succeeded
			9 c claims x running 0.1 f7`, NothingLost, "still running"},
		{"its claim was left behind by a fail-over", `
			1 n1 starts x 0.1.1 f7
			2 n1 ends x 0.1.1 f7 succeeded
			1.9 n breaks failover server=redis
			3 n mends failover server=redis forgets=rolled-back
			9 c claims x running 0.1 f7`, "", ""},
		{"its claim was left behind after a flush", `
			1 n1 starts x 0.1.1 f7
			2 n1 ends x 0.1.1 f7 succeeded
			1.9 n breaks redis server=redis forgets=flushed
			3 n mends redis
			9 c claims x running 0.1 f7`, NothingLost, "still running"},
		{"its claim is gone", `
			1 n1 starts x 0.1.1 f7
			2 n1 ends x 0.1.1 f7 succeeded
			9 c collects claims`, NothingLost, "no claim"},
		{"its claim is gone in a flush", `
			1 n1 starts x 0.1.1 f7
			2 n1 ends x 0.1.1 f7 succeeded
			3 n breaks redis server=redis forgets=flushed
			4 n mends redis
			9 c collects claims`, "", ""},
		{"a failure and no more", `
			0 p sends x fails=1
			1 n1 starts x 0.1.1 f7
			2 n1 ends x 0.1.1 f7 failed`, NothingLost, "did not end"},
		{"dead", `
			0 p sends x end=failed
			1 n1 starts x 0.1.1 f7
			2 n1 ends x 0.1.1 f7 permanent
			9 c finds x 0.1 in q.dead/0/0 at 2.1 reason=failed
			9 c claims x dead 0.1 f7
			9 c collects claims
			9 c collects q.dead`, "", ""},
		{"dead without a letter", `
			0 p sends x end=failed
			1 n1 starts x 0.1.1 f7
			2 n1 ends x 0.1.1 f7 permanent
			9 c claims x dead 0.1 f7
			9 c collects claims
			9 c collects q.dead`, NothingLost, "no letter"},
		{"dead and succeeded", `
			0 p sends x
			1 n1 starts x 0.1.1 f7
			2 n1 ends x 0.1.1 f7 succeeded
			9 c finds x 0.1 in q.dead/0/0 at 2.1 reason=failed
			9 c claims x succeeded 0.1 f7 n1`, NothingLost, "succeeded and is dead"},
		{"canceled", `
			1 o cancels x
			2 o hears x pending canceled
			9 c claims x canceled 2147483647.1 f0`, "", ""},
		{"canceled by nobody", `
			9 c claims x canceled 2147483647.1 f0`, NothingLost, "nobody asked"},
		{"a replay that is lost", `
			0 p sends x end=failed mended=1
			1 n1 starts x 0.1.1 f7
			2 n1 ends x 0.1.1 f7 permanent
			9 c finds x 0.1 in q.dead/0/0 at 2.1 reason=failed
			9 c finds x 1.1 in q.pending/0/7 at 3
			9 c finds nothing of x 0 in q.dead/0/3 at 3.1
			9 c claims x dead 0.1 f7
			9 c collects q.dead`, NothingLost, "generation 1 did not end"},
		{"a replay that succeeds", `
			0 p sends x end=failed mended=1
			1 n1 starts x 0.1.1 f7
			2 n1 ends x 0.1.1 f7 permanent
			3 n1 starts x 1.1.1 f8
			4 n1 ends x 1.1.1 f8 succeeded
			9 c finds x 0.1 in q.dead/0/0 at 2.1 reason=failed
			9 c finds x 1.1 in q.pending/0/7 at 2.9
			9 c finds nothing of x 0 in q.dead/0/3 at 2.95
			9 c claims x succeeded 1.1 f8 n1
			9 c collects q.pending
			9 c collects q.dead`, "", ""},
		{"a letter that is gone", `
			0 p sends x end=failed
			1 n1 starts x 0.1.1 f7
			2 n1 ends x 0.1.1 f7 permanent
			9 c finds x 0.1 in q.dead/0/0 at 2.1 reason=failed
			9 c finds nothing of x 0 in q.dead/0/3 at 3.1
			9 c claims x dead 0.1 f7
			9 c collects q.dead`, NothingLost, "no letter"},
		{"a replay of which nothing is known", `
			0 p sends x end=failed mended=1
			1 n1 starts x 0.1.1 f7
			2 n1 ends x 0.1.1 f7 permanent
			3 o replays x 1
			9 c finds x 0.1 in q.dead/0/0 at 2.1 reason=failed
			9 c claims x dead 0.1 f7
			9 c collects q.pending
			9 c collects tasktier.retry.minute
			9 c collects q.dead`, NothingLost, "nothing is known"},
		{"it was to die and succeeded", `
			0 p sends x end=failed
			1 n1 starts x 0.1.1 f7
			2 n1 ends x 0.1.1 f7 succeeded`, NothingLost, "meant to die"},
		{"another payload came back", `
			1 n1 starts x 0.1.1 f7
			2 n1 ends x 0.1.1 f7 succeeded
			9 c finds x 0.1 in tasktier.retry.minute/3/2 at 0.5 due=1 hash=1`, Intact, "not the one that was sent"},
	})
}
