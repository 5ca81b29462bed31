// Feeds npm's binary-version-reader with files and with changed copies of them.
// stdin, a JSON value a line: "path" reads a file; {"cut": n} parses its first n bytes; {"patch": [[offset, hex], ...]}
// parses a copy with other bytes. stdout: what the parser says, or {"error": message}, a line for each of the latter.
const { HalModuleParser } = require('binary-version-reader');
const fs = require('fs');
const readline = require('readline');

const parser = new HalModuleParser();
let file = Buffer.alloc(0);

function changed(request) {
    if ('cut' in request) {
        return file.subarray(0, request.cut);
    }
    const copy = Buffer.from(file);
    for (const [offset, hex] of request.patch) {
        copy.write(hex, offset, 'hex');
    }
    return copy;
}

// An extension's data repeats the bytes of the file.
function withoutRawTlv(key, value) {
    return key === 'data' && value.type === 'Buffer' ? undefined : value;
}

(async () => {
    for await (const line of readline.createInterface({ input: process.stdin })) {
        const request = JSON.parse(line);
        if (typeof request === 'string') {
            file = fs.readFileSync(request);
            continue;
        }
        let answer;
        try {
            const { crc, prefixInfo, suffixInfo, assets } = await parser.parseBuffer({ fileBuffer: changed(request) });
            answer = { crc, prefixInfo, suffixInfo, assets };
        } catch (error) {
            answer = { error: error.message };
        }
        process.stdout.write(JSON.stringify(answer, withoutRawTlv) + '\n');
    }
})();
