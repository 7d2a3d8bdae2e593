package record

import "strings"

// An attribute is one that tasktier acts on. All others are handed through to the handler.
type attribute uint8

const (
	unknown attribute = iota
	specVersion
	id
	source
	typ
	contentType // the attribute datacontenttype; in binary mode also the header content-type, which wins
	eventTime
	partitionKey
	traceParent
	traceState
	expiryTime
	notBefore
	maxAttempts
	timeoutMS
	generation
	turn
	attempt
	mark // the other headers of a Stamp: they say where a record was, not what the task is

	attributes // how many there are
)

// attributeNames are the attributes' names without prefix, for messages and for writing.
var attributeNames = [attributes]string{
	specVersion: "specversion", id: "id", source: "source", typ: "type", contentType: "datacontenttype",
	eventTime: "time", partitionKey: "partitionkey", traceParent: "traceparent", traceState: "tracestate",
	expiryTime: "expirytime", notBefore: "notbefore", maxAttempts: "maxattempts", timeoutMS: "timeoutms",
	generation: "ttgeneration", turn: "ttturn", attempt: "ttattempt",
}

const (
	prefix            = "ce_"
	contentTypeHeader = "content-type"
)

// attributeOf finds the attribute of a name. A switch, not a map: it runs for every header of every record.
func attributeOf(name string) attribute {
	switch name {
	case "specversion":
		return specVersion
	case "id":
		return id
	case "source":
		return source
	case "type":
		return typ
	case "datacontenttype":
		return contentType
	case "time":
		return eventTime
	case "partitionkey":
		return partitionKey
	case "traceparent":
		return traceParent
	case "tracestate":
		return traceState
	case "expirytime":
		return expiryTime
	case "notbefore":
		return notBefore
	case "maxattempts":
		return maxAttempts
	case "timeoutms":
		return timeoutMS
	case "ttgeneration":
		return generation
	case "ttturn":
		return turn
	case "ttattempt":
		return attempt
	case "ttqueue", "ttdue", "tterror", "ttfirsterror", "ttreason", "ttorigin", "ttnode", "ttdied", "ttcrashes", "ttkey":
		return mark
	}
	return unknown
}

// headerAttribute is attributeOf for the name of a record header. Names are case-sensitive, as Kafka's are.
func headerAttribute(key string) attribute {
	if name, ok := strings.CutPrefix(key, prefix); ok {
		return attributeOf(name)
	}
	return unknown
}

// stamped says whether a header belongs to a [Stamp]. The names are listed, not matched by their prefix: a stranger's
// extension attribute "ttl" is its sender's, and travels on.
func stamped(key string) bool { return headerAttribute(key) >= generation }
