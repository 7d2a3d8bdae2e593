package config

import (
	"fmt"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
)

const envPrefix = "TASKTIER_"

// Variables of our prefix that are no config; Load says why.
var (
	exempt     = regexp.MustCompile(`^TASKTIER_(CONFIG$|TEST_|TASK_|HEADER_)`)
	kubernetes = regexp.MustCompile(`_(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT|PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)$`)
)

func isExempt(name, value string) bool {
	if exempt.MatchString(name) {
		return true
	}
	if strings.HasSuffix(name, "_PORT") && !strings.Contains(name, "_SERVICE_") && !strings.Contains(name, "_PORT_") &&
		!strings.Contains(value, "://") {
		return false // Kubernetes sets a URL here: a number is for a key that somebody thinks there is
	}
	return kubernetes.MatchString(name)
}

// applyEnv sets what variables say, over whatever c holds.
func (c *Config) applyEnv(vars map[string]string) problems {
	var wrong problems
	root := reflect.ValueOf(c).Elem()
	for _, name := range slices.Sorted(maps.Keys(vars)) {
		paths := matches(root, strings.TrimPrefix(name, envPrefix))
		if len(paths) == 0 {
			paths = newQueue(strings.TrimPrefix(name, envPrefix))
		}
		switch {
		case len(paths) == 0 && isExempt(name, vars[name]):
			continue
		case len(paths) == 0:
			wrong = append(wrong, Problem{Where: name, Message: unknownVariable(name)})
			continue
		case len(paths) > 1:
			wrong = append(wrong, Problem{Where: name, Message: fmt.Sprintf("means both %s and %s; set it in the file",
				strings.Join(paths[0], "."), strings.Join(paths[1], "."))})
			continue
		}
		key := strings.Join(paths[0], ".")
		if !utf8.ValidString(vars[name]) {
			wrong = append(wrong, Problem{name, key, "not valid UTF-8"})
			continue
		}
		if err := setPath(root, paths[0], vars[name]); err != nil {
			wrong = append(wrong, Problem{name, key, err.Error()})
			continue
		}
		c.setOrigin(key, name)
	}
	return wrong
}

func (c *Config) setOrigin(key, where string) {
	if c.origin == nil {
		c.origin = map[string]string{}
	}
	c.origin[key] = where
}

// matches are the ways to read name, a variable's name or the rest of one, as the path of a key below v. There may be
// several: beside a queue "a", "a_id" makes A_ID_WINDOW ambiguous.
func matches(v reflect.Value, name string) [][]string {
	switch v.Kind() {
	case reflect.Pointer:
		if v.IsNil() {
			return matches(newValue(v.Type().Elem()), name)
		}
		return matches(v.Elem(), name)
	case reflect.Struct:
		known := fields(v.Type())
		return below(name, known.names, func(field string) reflect.Value { return v.Field(known.index[field]) })
	case reflect.Map:
		var names []string
		for _, k := range v.MapKeys() {
			names = append(names, k.String())
		}
		slices.Sort(names)
		return below(name, names, func(k string) reflect.Value { return v.MapIndex(reflect.ValueOf(k)) })
	}
	if name == "" {
		return [][]string{{}}
	}
	return nil
}

func below(name string, children []string, value func(child string) reflect.Value) [][]string {
	var found [][]string
	for _, child := range children {
		rest, ok := strings.CutPrefix(name, variableName(child))
		if !ok {
			continue
		}
		if rest != "" && rest[0] != '_' {
			continue
		}
		for _, path := range matches(value(child), strings.TrimPrefix(rest, "_")) {
			found = append(found, append([]string{child}, path...))
		}
	}
	return found
}

// newQueue reads name as a key of a queue that is not there yet. The longest key wins: MAIL_ID_WINDOW is id_window of
// "mail", not window of "mail_id".
func newQueue(name string) [][]string {
	rest, ok := strings.CutPrefix(name, "QUEUES_")
	if !ok {
		return nil
	}
	for i := range len(rest) {
		if i == 0 || rest[i] != '_' {
			continue
		}
		if keys := matches(newValue(reflect.TypeFor[Queue]()), rest[i+1:]); len(keys) == 1 {
			return [][]string{append([]string{"queues", strings.ToLower(rest[:i])}, keys[0]...)}
		}
	}
	return nil
}

// setPath sets what path leads to below v, making what is missing on the way with its defaults.
func setPath(v reflect.Value, path []string, s string) error {
	switch v.Kind() {
	case reflect.Pointer:
		if v.IsNil() {
			v.Set(newValue(v.Type().Elem()).Addr())
		}
		return setPath(v.Elem(), path, s)
	case reflect.Struct:
		return setPath(v.Field(fields(v.Type()).index[path[0]]), path[1:], s)
	case reflect.Map:
		elem, key := newValue(v.Type().Elem()), reflect.ValueOf(path[0])
		if old := v.MapIndex(key); old.IsValid() {
			elem.Set(old)
		}
		if err := setPath(elem, path[1:], s); err != nil {
			return err
		}
		if v.IsNil() {
			v.Set(reflect.MakeMap(v.Type()))
		}
		v.SetMapIndex(key, elem)
		return nil
	case reflect.Slice:
		v.Set(reflect.ValueOf(splitList(s)))
		return nil
	case reflect.Interface:
		var data any
		if err := yaml.Unmarshal([]byte(s), &data); err != nil {
			line, _, _ := strings.Cut(err.Error(), "\n")
			return fmt.Errorf("not readable: %s", line)
		}
		if data != nil {
			v.Set(reflect.ValueOf(data))
		}
		return nil
	}
	if s == "" && v.Kind() != reflect.String {
		return nil // as a key without a value in a file
	}
	return setScalar(v, s)
}

func splitList(s string) []string {
	list := []string{}
	for item := range strings.SplitSeq(s, ",") {
		if item = strings.TrimSpace(item); item != "" {
			list = append(list, item)
		}
	}
	return list
}

// variableName is a key as it stands in a variable's name.
func variableName(key string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case 'a' <= r && r <= 'z':
			return r - 'a' + 'A'
		case 'A' <= r && r <= 'Z', '0' <= r && r <= '9':
			return r
		}
		return '_'
	}, key)
}

func unknownVariable(name string) string {
	for _, s := range []string{"TYPES", "SCHEDULES"} {
		if strings.HasPrefix(name, envPrefix+s+"_") {
			return fmt.Sprintf("no entry and key under %q is called so; a variable can change an entry of the file, not add one (upper case hides its name)",
				strings.ToLower(s))
		}
	}
	return "unknown variable: it is no key of the configuration"
}
