package history

import "time"

// A Moment is a time in Unix microseconds; 0 is none. All events of a history are told by the clock of one machine.
type Moment int64

// At is the moment of t; that of the zero time is none.
func At(t time.Time) Moment {
	if t.IsZero() {
		return 0
	}
	return Moment(t.UnixMicro())
}

// Time is the moment as a time.
func (m Moment) Time() time.Time {
	if m == 0 {
		return time.Time{}
	}
	return time.UnixMicro(int64(m))
}

// Add is d later.
func (m Moment) Add(d time.Duration) Moment { return m + Moment(d.Microseconds()) }

// Sub is the time from o to m.
func (m Moment) Sub(o Moment) time.Duration { return time.Duration(m-o) * time.Microsecond }

func (m Moment) String() string {
	if m == 0 {
		return "-"
	}
	return m.Time().UTC().Format("15:04:05.000000")
}
