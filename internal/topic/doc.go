// Package topic says how the topics of a queue must be, finds out how they are, and creates or mends them.
//
// [Specs] are the wishes. [Inspect] compares them with a cluster: the [Plan] it returns says for each topic what is
// missing and what differs. A difference is unsafe if unfinished work could be lost by it: a node refuses to start then.
// Other differences are worth a warning.
//
// Nodes call [Ensure]: it creates what is missing and never alters what is there, as a topic's settings are its owner's.
// [Plan.Apply] does both, and is for operators.
package topic
