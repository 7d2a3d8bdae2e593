package spec

import "testing"

var planted = []struct {
	name   string
	defect defect
	model
}{
	{"begin without compare", beginWithoutCompare, model{budget: budget{fail: 1, dup: 1}, limit: 2, attempts: 2}},
	{"steal without compare", stealWithoutCompare, model{budget: budget{fail: 1, dup: 1, crash: 1}, limit: 3, attempts: 2}},
	{"steal from the living", stealFromLiving, model{budget: budget{rebalance: 1}, limit: 2, attempts: 1}},
	{"steal without the registry", stealWithoutRegistry, model{budget: budget{lapse: 1, away: 1, rebalance: 1}, limit: 3, attempts: 1}},
	{"who was gone once is gone for good", goneRemembered, model{budget: budget{lapse: 1, away: 1, rebalance: 2, snooze: 1}, limit: 2, attempts: 1}},
	{"a held record is dropped, after a snooze", dropHeldOfOwn, model{budget: budget{snooze: 1}, limit: 2, attempts: 1}},
	{"a held record is dropped, after a lost reply", dropHeldOfOwn, model{budget: budget{reply: 1}, limit: 2, attempts: 1}},
	{"an older generation is buried", buryOlderGeneration, model{budget: budget{crash: 1, fail: 1, replay: 1}, limit: 2, attempts: 1}},
	{"what is dying runs", runWhatIsDying, model{budget: budget{crash: 1, fail: 1}, limit: 2, attempts: 1}},
	{"a retried steal counts twice", retriedStealCountsTwice, model{budget: budget{crash: 1, reply: 1}, limit: 3, attempts: 1}},
	{"what was won too late is kept", wonTooLateKept, model{budget: budget{reply: 1, rebalance: 1}, limit: 2, attempts: 1}},

	{"finish without compare", finishWithoutCompare, model{budget: budget{lapse: 1}, limit: 2, attempts: 1}},
	{"a lost result completes its offset", lostCompletes, model{budget: budget{flush: 1, lapse: 1}, limit: 2, attempts: 1}},
	{"a cancel is forgotten", cancelForgotten, model{budget: budget{cancel: 1, crash: 1}, limit: 2, attempts: 1}},
	{"a snooze keeps its turn, rebalance", snoozeKeepsTurn, model{budget: budget{snooze: 1, rebalance: 1}, limit: 2, attempts: 1}},
	{"a snooze keeps its turn, commit lost", snoozeKeepsTurn, model{budget: budget{snooze: 1, crash: 1, uncommit: 1}, limit: 2, attempts: 1}},
	{"the fence starts again", fenceRestarts, model{budget: budget{snooze: 1}, limit: 2, attempts: 1}},
	{"the fence is a clock", fenceFromClock, model{budget: budget{crash: 1}, limit: 2, attempts: 1}},
	{"an unregistered session is trusted", trustUnregistered, model{budget: budget{lapse: 1, away: 1, flush: 1}, limit: 2, attempts: 1}},
	{"a lapsed session is trusted", trustLapsed, model{budget: budget{lapse: 1, flush: 1}, limit: 2, attempts: 1}},
	{"runs from before a registration are trusted", trustLateRegistration, model{budget: budget{lapse: 1, away: 1, rebalance: 1}, limit: 2, attempts: 1}},

	{"offset before the effects", offsetBeforeEffects, model{budget: budget{crash: 1}, limit: 2, attempts: 1}},
	{"successor after the finish", successorAfterFinish, model{budget: budget{fail: 1, crash: 1}, limit: 2, attempts: 2}},
	{"letter before the intent", letterBeforeIntent, model{budget: budget{lapse: 1, fail: 1}, limit: 2, attempts: 1}},
	{"letters keyed by identity", letterKeyedByIdentity, model{budget: budget{replay: 2, fail: 2}, limit: 2, attempts: 1}},

	{"a lonely run in an unregistered session", flagUnregistered, model{budget: budget{lapse: 1, away: 1, rebalance: 1}, limit: 1, attempts: 1}},
	{"the mark of a lonely run outlives its session", flagSurvivesLapse, model{budget: budget{lapse: 1, rebalance: 1}, limit: 1, attempts: 1}},
	{"a release compares with the session only", releaseWithoutRun, model{budget: budget{reply: 1, rebalance: 2}, limit: 2, attempts: 1}},
	{"a release forgets the cancel", releaseForgetsCancel, model{budget: budget{cancel: 1, rebalance: 1}, limit: 2, attempts: 1}},
	{"a release completes its offset", releaseCompletes, model{budget: budget{drain: 1}, limit: 2, attempts: 1}},
	{"a drain keeps its claims", drainKeepsClaims, model{budget: budget{drain: 1}, limit: 2, attempts: 1}},
	{"re-homed with its begin unanswered", handsOnUnanswered, model{budget: budget{rehome: 1, reply: 1}, limit: 2, attempts: 1}},
	{"re-homed: offset before the copy", offsetBeforeCopy, model{budget: budget{rehome: 1}, limit: 2, attempts: 1}},
}

// A property that sees no defect is worth nothing: each of these has to be caught, in a mix that is sound without it.
func TestPlantedDefects(t *testing.T) {
	tried := make(map[defect]bool)
	for _, p := range planted {
		tried[p.defect] = true
		t.Run(p.name, func(t *testing.T) {
			if p.defect == goneRemembered && testing.Short() {
				t.Skip("its mix has more states than all others together: ./check long runs it")
			}
			m := p.model
			if got := explore(&m); got.violation != "" {
				t.Fatalf("the mix is not sound: %s", got)
			}
			m.defect = p.defect
			got := explore(&m)
			if got.violation == "" {
				t.Errorf("not caught in %s", got)
			}
			t.Log(got)
		})
	}
	for d := none + 1; d < defects; d++ {
		if !tried[d] {
			t.Errorf("defect %d is never planted", d)
		}
	}
}
