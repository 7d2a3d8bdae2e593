"""Publishes the cases with version 1 of the cloudevents package."""

import json

from cloudevents.http import CloudEvent
from cloudevents.kafka import to_binary, to_structured
from publish import run


def binary(attributes, data):
    # This version encodes headers from strings alone, and fails on an event without a content type.
    attributes = {k: v if isinstance(v, str) else json.dumps(v) for k, v in attributes.items()}
    attributes.setdefault("datacontenttype", "")
    raw = isinstance(data, bytes) or "json" not in attributes["datacontenttype"]
    message = to_binary(CloudEvent(attributes, data), data_marshaller=(lambda d: d) if raw else None)
    return message.key, message.headers, message.value


def structured(attributes, data):
    message = to_structured(CloudEvent(attributes, data))
    return message.key, message.headers, message.value


run({"binary": binary, "structured": structured})
