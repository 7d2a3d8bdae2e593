package control

import (
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/tasktier/tasktier/internal/names"
)

// What a key is about: the folder it is in.
const (
	queues = "queues"
	types  = "types"
	nodes  = "nodes"
)

var errName = errors.New("the name is missing")

// folderOf is where all keys are. prefix "" is the default.
func folderOf(prefix string) string {
	return names.EtcdPrefix(prefix) + "/control/"
}

// key is where something is said of a name. A name may have slashes, for one of those types have.
func key(folder, about, name string) string { return folder + about + "/" + url.PathEscape(name) }

// parseKey reads what key wrote. Each name has just one key that is right, or two could contradict each other.
func parseKey(folder, k string) (about, name string, err error) {
	about, escaped, _ := strings.Cut(strings.TrimPrefix(k, folder), "/")
	switch about {
	case queues, types, nodes:
	default:
		return "", "", fmt.Errorf("nothing is known that is called %q", about)
	}
	name, err = url.PathUnescape(escaped)
	switch {
	case err != nil:
		return "", "", fmt.Errorf("read the name: %w", err)
	case name == "":
		return "", "", errName
	case url.PathEscape(name) != escaped:
		return "", "", fmt.Errorf("the name %q is to be escaped as %s", name, url.PathEscape(name))
	}
	return about, name, nil
}
