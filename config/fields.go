package config

import (
	"reflect"
	"strings"
)

// structFields are the keys of a section: its exported fields by the names of their yaml tags.
type structFields struct {
	names []string       // in the order of the struct
	index map[string]int // name → field
}

func fields(t reflect.Type) structFields {
	f := structFields{index: map[string]int{}}
	for i := range t.NumField() {
		name, _, _ := strings.Cut(t.Field(i).Tag.Get("yaml"), ",")
		if name == "" {
			continue // not exported
		}
		f.names = append(f.names, name)
		f.index[name] = i
	}
	return f
}

// newValue is an addressable value of type t with t's defaults.
func newValue(t reflect.Type) reflect.Value {
	p := reflect.New(t)
	if d, ok := p.Interface().(interface{ setDefaults() }); ok {
		d.setDefaults()
	}
	return p.Elem()
}
