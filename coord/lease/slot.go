package lease

// A Slot is a place in which one task of a type may run, of a type that runs only so many times at once in the whole
// cluster. It is good for as long as its lease is trusted.
type Slot struct {
	// Type of the tasks.
	Type string
	// Number of the slot, from 0 on, below the type's limit.
	Number int
	// Token is a fencing token: whoever has the slot later has a higher one. With a limit of one that holds for the type.
	Token int64
	// Lease is the session that has the slot.
	Lease *Lease
}
