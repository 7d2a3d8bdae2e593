// Package child starts the processes of an end-to-end test: a test's binary that is run again in another role, which an
// environment variable names. The test's TestMain looks at it before it runs any test.
//
// A [Process] is one life of such a process. It writes its standard error to a log that its next lives append to. Whoever
// starts it ends it; on Linux the kernel does when the test itself dies.
package child
