package record

import "math"

// maxInt bounds generations, turns, attempts and counts: CloudEvents integers have 32 bits, and so has the room that
// others may give them.
const maxInt = math.MaxInt32

// integer reads a decimal number without sign, space, point or exponent. It says no to anything above limit, however
// many digits it has.
func integer(text []byte, limit int64) (int64, bool) {
	if len(text) == 0 || len(text) > 20 {
		return 0, false
	}
	var n int64
	for _, c := range text {
		if c < '0' || c > '9' {
			return 0, false
		}
		d := int64(c - '0')
		if n > (limit-d)/10 {
			return 0, false
		}
		n = n*10 + d
	}
	return n, true
}
