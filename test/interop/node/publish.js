// Publishes the cases with the CloudEvents SDK for Node and kafkajs.
// Arguments: the brokers, the topic, the mode, what every id begins with, the file of cases.
const fs = require("fs");
const { CloudEvent, Kafka: binding } = require("cloudevents");
const { Kafka, logLevel } = require("kafkajs");

const [brokers, topic, mode, prefix, cases] = process.argv.slice(2);

function event({ base64, extensions, ...attributes }) {
  const data = base64 ? new Uint8Array(Buffer.from(base64, "base64")) : attributes.data;
  return new CloudEvent({ ...attributes, ...extensions, data, id: prefix + attributes.id });
}

// kafkajs takes text and Buffers; what the binding leaves as other values, its user serializes or leaves out.
function serialized(value) {
  if (value === undefined || value === null) return null;
  if (value instanceof Uint8Array) return Buffer.from(value);
  return typeof value === "string" ? value : JSON.stringify(value);
}

function text(headers) {
  return Object.fromEntries(Object.entries(headers).filter(([, v]) => v !== undefined).map(([k, v]) => [k, String(v)]));
}

const modes = {
  binary(c) {
    const { key, headers, value, timestamp } = binding.binary(event(c));
    return { key, headers: text(headers), value: serialized(value), timestamp };
  },
  structured(c) {
    const { key, headers, value, timestamp } = binding.structured(event(c));
    return { key, headers, value, timestamp };
  },
  // No SDK: what a script writes that knows nothing but JSON.
  plain: (c) => ({
    value: JSON.stringify({ id: prefix + c.id, type: c.type, payload: c.base64 || c.data, status: "pending", retry: 0 }),
  }),
};

async function main() {
  const producer = new Kafka({ brokers: brokers.split(","), logLevel: logLevel.ERROR }).producer();
  await producer.connect();
  try {
    const messages = JSON.parse(fs.readFileSync(cases, "utf8")).map(modes[mode]);
    await producer.send({ topic, acks: -1, messages });
  } finally {
    await producer.disconnect();
  }
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
