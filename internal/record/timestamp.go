package record

import "time"

// timestamp reads an RFC 3339 time with 0 to 9 fraction digits and any offset, as the instant in UTC. It is not
// time.Parse, which allocates a location for every offset, takes any number of digits, and a comma for the point. A
// leap second (:60) is the first instant of the next minute.
func timestamp(b []byte) (time.Time, bool) {
	// 2006-01-02T15:04:05 and at least one more byte for the offset.
	if len(b) < 20 || b[4] != '-' || b[7] != '-' || b[10]|0x20 != 't' || b[13] != ':' || b[16] != ':' {
		return time.Time{}, false
	}
	year, ok1 := digits(b[0:4], 9999)
	month, ok2 := digits(b[5:7], 12)
	day, ok3 := digits(b[8:10], 31)
	hour, ok4 := digits(b[11:13], 23)
	minute, ok5 := digits(b[14:16], 59)
	second, ok6 := digits(b[17:19], 60)
	if !(ok1 && ok2 && ok3 && ok4 && ok5 && ok6) || month == 0 || day == 0 || day > daysIn(year, month) {
		return time.Time{}, false
	}
	b = b[19:]

	nanos := 0
	if b[0] == '.' {
		n := 1
		for n < len(b) && '0' <= b[n] && b[n] <= '9' {
			n++
		}
		if n == 1 || n > 10 {
			return time.Time{}, false
		}
		nanos, _ = digits(b[1:n], 999_999_999)
		for range 10 - n {
			nanos *= 10
		}
		b = b[n:]
	}

	offset, ok := zone(b)
	if !ok {
		return time.Time{}, false
	}
	return time.Date(year, time.Month(month), day, hour, minute, second-offset, nanos, time.UTC), true
}

// zone reads "Z" or "+hh:mm" as seconds east of UTC.
func zone(b []byte) (seconds int, ok bool) {
	if len(b) == 1 {
		return 0, b[0]|0x20 == 'z'
	}
	if len(b) != 6 || b[0] != '+' && b[0] != '-' || b[3] != ':' {
		return 0, false
	}
	hours, ok1 := digits(b[1:3], 23)
	minutes, ok2 := digits(b[4:6], 59)
	seconds = hours*3600 + minutes*60
	if b[0] == '-' {
		seconds = -seconds
	}
	return seconds, ok1 && ok2
}

// digits reads up to nine decimal digits.
func digits(b []byte, limit int) (int, bool) {
	n, ok := integer(b, int64(limit))
	return int(n), ok
}

func daysIn(year, month int) int {
	switch month {
	case 4, 6, 9, 11:
		return 30
	case 2:
		if year%4 == 0 && (year%100 != 0 || year%400 == 0) {
			return 29
		}
		return 28
	}
	return 31
}
