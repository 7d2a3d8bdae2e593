"""Publishes the cases with version 2 of the cloudevents package."""

import base64
import json

from dateutil.parser import isoparse

from cloudevents.core.bindings import kafka
from cloudevents.core.v1.event import CloudEvent
from publish import run


def event(attributes, data):
    return CloudEvent(attributes | {"time": isoparse(attributes["time"])}, data)


def binary(attributes, data):
    message = kafka.to_binary_event(event(attributes, data))
    return message.key, message.headers, message.value


def structured(attributes, data):
    message = kafka.to_structured_event(event(attributes, data))
    return message.key, message.headers, message.value


def plain(attributes, data):
    """No SDK: what a script writes that knows nothing but JSON."""
    if isinstance(data, bytes):
        data = base64.b64encode(data).decode()
    task = {"id": attributes["id"], "type": attributes["type"], "payload": data, "status": "pending", "retry": 0}
    return None, {}, json.dumps(task).encode()


run({"binary": binary, "structured": structured, "plain": plain})
