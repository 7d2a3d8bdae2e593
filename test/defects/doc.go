// Package defects are ways in which the product could be wrong, to be planted in a test binary that the checker of test/history
// must then convict: a checker that never finds anything proves nothing.
//
// A [Defect] is a few exact replacements of text in the product's sources, made when the binary is built; the product itself
// knows nothing of them. When code moves on that a defect replaces, the package's test fails: look for what became of it, and
// plant the same mistake there.
//
// All names them, by the order in which a task meets what they break: consumer, claims, tiers, letters, limits.
package defects
