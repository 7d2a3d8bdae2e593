package spec

// A defect is a way in which an implementation could be wrong. Each is planted by a test, and a property has to see it.
type defect uint8

const (
	none defect = iota
	// Begin.
	beginWithoutCompare     // begin writes over whatever has become of the claim since it was read
	stealWithoutCompare     // a steal does
	stealFromLiving         // a held claim is stolen without a look at the registry
	stealWithoutRegistry    // a process that can't reach etcd takes everybody else for gone
	goneRemembered          // who was gone once is gone for good, though its session was used before it could register
	dropHeldOfOwn           // a record whose claim names the same session is dropped: the run there will see to it
	buryOlderGeneration     // a replayed record buries the generation before it
	runWhatIsDying          // what is dying is run again
	retriedStealCountsTwice // a steal whose reply was lost is made again
	wonTooLateKept          // what was won after the partition had gone is kept
	// Finish.
	finishWithoutCompare
	lostCompletes // the offset of a lost result is completed
	cancelForgotten
	snoozeKeepsTurn
	fenceRestarts  // a finish forgets the fence
	fenceFromClock // a fence comes from the clock alone
	trustUnregistered
	trustLapsed
	trustLateRegistration // a session that registers late makes the runs trusted that it has
	// Order of effects.
	offsetBeforeEffects
	successorAfterFinish
	letterBeforeIntent
	letterKeyedByIdentity // and not by generation
	// Alone; alone.go has more.
	flagUnregistered  // a process whose session etcd does not know marks a lonely run
	flagSurvivesLapse // a process that loses its lease alive leaves the mark
	// Release and re-homing.
	releaseWithoutRun // a release compares with the session only
	releaseForgetsCancel
	releaseCompletes  // a release completes the offset
	drainKeepsClaims  // what was won is dropped and not released
	handsOnUnanswered // a record is re-homed while the answer to its begin is out
	offsetBeforeCopy  // a re-homed record's offset is completed before the copy is written

	defects // their number
)

// An aloneDefect is planted by a test.
type aloneDefect uint8

const (
	_ aloneDefect = iota
	// Poison by the count of crashes, wherever they came from.
	countOnly
	// The claim is marked while other handlers still run.
	flagBeforeQuiet
	// Other handlers start beside one that has to be alone.
	startBeside
	// The handler starts before the mark is written.
	handlerBeforeFlag
	// Others may start as soon as the handler has returned, before its result is recorded.
	freeWithHandler
	// A result keeps the mark.
	flagSurvivesFinish
	// A handler of a session that has ended, which did not return yet, is not counted as one at work.
	zombiesAreNotCounted
	// A process that ends a session, or itself, with a handler at work leaves the mark where it is.
	flagSurvivesSession
)

// keepRead undoes, for the defects that do not compare, that a write of the claim makes what others had read worthless; and,
// for the one that remembers, what the registry had said of a session that has written again.
func (w *walk) keepRead(to *state) {
	from := w.s.claim
	remembered := w.defect == goneRemembered && from.owned() && to.claim.owned() && from.owner == to.claim.owner && from.former == to.claim.former
	if w.defect != beginWithoutCompare && w.defect != stealWithoutCompare && !remembered {
		return
	}
	for i, n := range w.s.slots {
		at := &to.slots[i]
		if n.gone && at.phase == n.phase && at.rec == n.rec {
			at.gone = true
		}
	}
}

// beginBlindly reads a claim that lets the record run, and writes it without a look at what it is by then.
func (w *walk) beginBlindly(i int) bool {
	to := w.s
	n := &to.slots[i]
	c := w.s.claim
	switch {
	case n.gone:
		w.win(&to, i, 0)
		w.call(i, "begins without a compare", to)
	case c.state == missing || c.waits() && !c.after(n.rec):
		n.gone = true
		w.step(w.by(i, "reads a claim that lets it run"), to)
	default:
		return false
	}
	return true
}
