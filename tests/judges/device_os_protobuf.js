// Particle's own encoders and decoders. stdin: a JSON array of {"op", "name", "value"}; stdout: an array of answers.
// encode: value is a message (bytes as {"hex"}), answer is hex. decode: value is hex, answer is a message.
// id: the request type. enum: names and numbers.
const protobuf = require('@particle/device-os-protobuf');
const { particle } = require('@particle/device-os-protobuf/src/pbjs-generated/definitions');

function fromJson(value) {
    if (Array.isArray(value)) {
        return value.map(fromJson);
    }
    if (value && typeof value === 'object') {
        return 'hex' in value
            ? Buffer.from(value.hex, 'hex')
            : Object.fromEntries(Object.entries(value).map(([k, v]) => [k, fromJson(v)]));
    }
    return value;
}

function toJson(value) {
    if (Array.isArray(value)) {
        return value.map(toJson);
    }
    if (value instanceof Uint8Array) {
        return { hex: Buffer.from(value).toString('hex') };
    }
    if (value && typeof value === 'object') {
        return Object.fromEntries(Object.keys(value).map((k) => [k, toJson(value[k])]));
    }
    return value;
}

const operations = {
    encode: (name, value) => Buffer.from(protobuf.encode(name, fromJson(value))).toString('hex'),
    decode: (name, value) => toJson(protobuf.decode(name, Buffer.from(value, 'hex'))),
    id: (name) => protobuf.getDefinition(name).id,
    enum: (name) => name.split('.').reduce((o, k) => o[k], particle),
};

let text = '';
process.stdin.on('data', (piece) => (text += piece));
process.stdin.on('end', () => {
    const answers = JSON.parse(text).map(({ op, name, value }) => operations[op](name, value));
    process.stdout.write(JSON.stringify(answers));
});
