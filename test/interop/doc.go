// Package interop proves that tasktier executes what others publish: records written by the CloudEvents SDKs of Python,
// Node, Java and Go with the Kafka clients of their worlds, plain JSON, transactions, and records meant to do harm. It
// runs on real Kafka.
//
// Every publisher is a small program in a folder of its own. It takes the brokers, the topic, the mode (binary,
// structured, or plain where it has that), what every id begins with, and the file of cases, cases.json, which it sends
// through its SDK's own API. What the SDKs make of a case is expected as the case says; where one makes something else
// of it, quirks_test.go says what and why.
//
// The publishers' packages are pinned in their folders and installed into the cache of package testenv. A toolchain
// that is missing is installed as testenv does it, or is an error that names the command. TASKTIER_TEST_INTEROP=off in
// the environment leaves the publishers out.
package interop
