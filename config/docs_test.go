package config

import (
	"os"
	"reflect"
	"strings"
	"testing"
	"time"
)

// TestEveryKeyIsDocumented holds docs/configuration.md to the structs.
func TestEveryKeyIsDocumented(t *testing.T) {
	data, err := os.ReadFile("../docs/configuration.md")
	if err != nil {
		t.Fatal(err)
	}
	placeholder := map[string]string{"queues": "NAME", "types": "TYPE", "schedules": "NAME"}
	var walk func(typ reflect.Type, path string)
	walk = func(typ reflect.Type, path string) {
		switch typ.Kind() {
		case reflect.Pointer:
			walk(typ.Elem(), path)
			return
		case reflect.Map:
			if name, ok := placeholder[path]; ok {
				walk(typ.Elem(), path+"."+name)
				return
			}
		case reflect.Struct:
			if typ == reflect.TypeFor[time.Time]() {
				break
			}
			for i := range typ.NumField() {
				key, _, _ := strings.Cut(typ.Field(i).Tag.Get("yaml"), ",")
				if key == "" || key == "-" {
					continue
				}
				walk(typ.Field(i).Type, strings.TrimPrefix(path+"."+key, "."))
			}
			return
		default:
		}
		if !strings.Contains(string(data), "`"+path+"`") {
			t.Errorf("docs/configuration.md does not have %s", path)
		}
	}
	walk(reflect.TypeFor[Config](), "")
}
