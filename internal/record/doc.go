// Package record translates between tasks and Kafka records, and moves records between topics.
//
// # Reading
//
// A record of a pending topic comes in one of four forms, tried in this order:
//
//  1. structured, by label: content-type begins with application/cloudevents; the value is the event as JSON
//  2. binary: a header ce_specversion or ce_id; attributes are headers, the value is the payload
//  3. structured, unlabelled: the value is a JSON object with specversion
//  4. plain: the value is a JSON object with id and type
//
// Anything else is undecodable. A record that is an event but can't be obeyed is invalid. [Decode] tells the two apart
// in its [Error]; neither says anything about the records behind it.
//
// The payload is never copied and never re-encoded where the form allows it: it is a span of the record's value. Only
// base64 and escaped text are decoded into memory of their own.
//
// # Writing
//
// [Encode] writes binary mode. [Move] hands a record on, byte for byte as it came; what tasktier has to say about it
// travels in headers of its own, a [Stamp].
package record
