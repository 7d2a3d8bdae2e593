// Package config reads what a node and the command line are told: a YAML file, the environment, and defaults for the
// rest.
//
// # Where a value comes from
//
// Flags win over the environment, the environment over the file, the file over the defaults; flags are the command's.
// The file is the one that is named, else the one that TASKTIER_CONFIG names, else ./tasktier.yaml if there is one. Without
// a file the servers are at their local default addresses. A file says which of Redis and etcd there are: a section that
// it leaves out means that there is none.
//
// # What is refused
//
// Unknown keys, doubled keys, values out of range and variables that name no key are refused, each with one line that says
// the file and line, or the variable, and the key. A spelling mistake never becomes a default.
package config
