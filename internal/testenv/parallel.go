package testenv

import (
	"flag"
	"strconv"
)

// Parallel makes n the number of tests of a package that run at once, where -parallel does not say another. A package
// whose parallel tests wait most of the time, for leases to run out and servers to return, calls it from its TestMain:
// as many as there are processors, Go's default, would leave these idle.
func Parallel(n int) {
	if err := flag.Set("test.parallel", strconv.Itoa(n)); err != nil {
		panic(err) // not a test binary
	}
}
