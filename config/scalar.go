package config

import (
	"errors"
	"fmt"
	"math"
	"reflect"
	"strconv"
	"strings"
	"time"
)

// Bytes is a size. Files and variables give it as an integer or with a unit: 65536, 64KiB, 1.5MiB, 2GB.
type Bytes int64

// Binary units.
const (
	KiB Bytes = 1 << 10
	MiB Bytes = 1 << 20
	GiB Bytes = 1 << 30
)

// units from large to small, binary before decimal: String takes the first that divides.
var units = []struct {
	name string
	size Bytes
}{{"GiB", GiB}, {"MiB", MiB}, {"KiB", KiB}, {"GB", 1e9}, {"MB", 1e6}, {"kB", 1e3}, {"KB", 1e3}, {"B", 1}}

// String is the shortest exact form in binary units.
func (b Bytes) String() string {
	for _, u := range units[:3] {
		if b != 0 && b%u.size == 0 {
			return strconv.FormatInt(int64(b/u.size), 10) + u.name
		}
	}
	return strconv.FormatInt(int64(b), 10)
}

func parseBytes(s string) (Bytes, error) {
	bad := fmt.Errorf("%q is no size; write one like 65536 or 64MiB", s)
	size, number := Bytes(1), s
	for _, u := range units {
		if n, ok := strings.CutSuffix(s, u.name); ok {
			size, number = u.size, strings.TrimSpace(n)
			break
		}
	}
	if n, err := strconv.ParseInt(number, 10, 64); err == nil {
		if n > math.MaxInt64/int64(size) || n < math.MinInt64/int64(size) {
			return 0, bad
		}
		return Bytes(n) * size, nil
	}
	f, err := strconv.ParseFloat(number, 64)
	f *= float64(size)
	if err != nil || f != math.Trunc(f) || math.Abs(f) > 1<<53 { // beyond 2^53 a float is no exact count
		return 0, bad
	}
	return Bytes(f), nil
}

// setScalar parses s, a scalar of a file or the value of a variable, into v.
func setScalar(v reflect.Value, s string) error {
	switch v.Interface().(type) {
	case time.Duration:
		d, err := time.ParseDuration(s)
		if err != nil {
			return fmt.Errorf("%q is no duration; write one like 500ms, 30s, 10m or 24h", s)
		}
		v.SetInt(int64(d))
		return nil
	case Bytes:
		b, err := parseBytes(s)
		if err != nil {
			return err
		}
		v.SetInt(int64(b))
		return nil
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString(s)
	case reflect.Bool:
		if s != "true" && s != "false" {
			return fmt.Errorf("%q is neither true nor false", s)
		}
		v.SetBool(s == "true")
	case reflect.Int:
		n, err := strconv.Atoi(s)
		if errors.Is(err, strconv.ErrRange) {
			return fmt.Errorf("%s is out of range", s)
		}
		if err != nil {
			return fmt.Errorf("%q is no whole number", s)
		}
		v.SetInt(int64(n))
	case reflect.Float64:
		f, err := strconv.ParseFloat(s, 64)
		if err != nil || math.IsNaN(f) || math.IsInf(f, 0) {
			return fmt.Errorf("%q is no number", s)
		}
		v.SetFloat(f)
	default:
		panic("tasktier: a config field of type " + v.Type().String()) // a mistake in Config, found by any test
	}
	return nil
}

// formatDuration is d without its zero parts: 30m, where time says 30m0s.
func formatDuration(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}
