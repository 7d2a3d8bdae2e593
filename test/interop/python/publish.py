"""What both publishers share: the arguments, the cases, the Kafka client and the plain form."""

import base64
import json
import sys

from confluent_kafka import Producer


def run(modes):
    """Publishes every case as a mode of modes says, from (case, attributes, data) to (key, headers, value).

    Arguments: the brokers, the topic, the mode, what every id begins with, the file of cases.
    """
    brokers, topic, mode, prefix, cases = sys.argv[1:]
    producer = Producer({"bootstrap.servers": brokers, "acks": "all"})
    failed = []
    with open(cases, encoding="utf-8") as file:
        for case in json.load(file):
            attributes = {k: v for k, v in case.items() if k not in ("data", "base64", "extensions")}
            attributes |= case.get("extensions", {})
            attributes["id"] = prefix + attributes["id"]
            data = base64.b64decode(case["base64"]) if "base64" in case else case.get("data")
            key, headers, value = modes[mode](attributes, data)
            producer.produce(
                topic, value=value, key=key, headers=list(headers.items()),
                on_delivery=lambda error, _: error and failed.append(error),
            )
    if producer.flush(30) or failed:
        sys.exit(f"not delivered: {failed}")
