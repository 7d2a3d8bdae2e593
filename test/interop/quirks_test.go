package interop

// A quirk is what a library makes of a case that is not what the case says. These are the sender's own words: tasktier
// delivers them as they are.
type quirk struct {
	why     string
	payload string            // exactly, if not empty
	time    string            // RFC 3339, if not empty
	headers map[string]string // in place of the case's own, for those named
}

const (
	noRoundTrip = "JavaScript's numbers are float64"
	textAsIs    = "a string of data is written to the value as it is, although it is labelled JSON"
	asNull      = "no data is written as a JSON null"
)

// quirks by publisher, mode and case.
var quirks = map[string]quirk{
	"python-2.2/binary/object": {why: "a boolean is written as Python's", headers: map[string]string{"ce_urgent": "True"}},
	"python-2.2/binary/list":   {why: "only objects are written as JSON, other values as Python's repr", payload: "[1, {'a': None}]"},
	"python-2.2/binary/string": {why: textAsIs, payload: "a string of JSON"},
	"python-2.2/plain/none":    {why: asNull, payload: "null"},

	"python-1.13/structured/none": {why: asNull, payload: "null"},

	"node/binary/bignumber":     {why: noRoundTrip, payload: `{"beyondint64":1.2345678901234568e+29}`},
	"node/structured/bignumber": {why: noRoundTrip, payload: `{"beyondint64":1.2345678901234568e+29}`},
	"node/plain/bignumber":      {why: noRoundTrip, payload: `{"beyondint64":1.2345678901234568e+29}`},
	"node/binary/string":        {why: textAsIs, payload: "a string of JSON"},
	"node/structured/offset":    {why: "times are cut to milliseconds", time: "2026-03-04T05:06:07.123Z"},

	"python-2.2/binary/offset":     {why: "times are cut to microseconds", time: "2026-03-04T05:06:07.123456Z"},
	"python-2.2/structured/offset": {why: "times are cut to microseconds", time: "2026-03-04T05:06:07.123456Z"},
}
