// Command etcdserver is etcd itself, built from its module, so that tests have
// a real etcd process to kill without anything to install.
package main

import (
	"os"

	"go.etcd.io/etcd/server/v3/etcdmain"
)

func main() { etcdmain.Main(os.Args) }
