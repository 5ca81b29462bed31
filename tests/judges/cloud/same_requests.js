// Makes the calls of particle-api-js that are listed in the JSON on standard input; answers do not matter.
const [, , modulePath, baseUrl] = process.argv;
const Particle = require(modulePath);
const particle = new Particle({ baseUrl, auth: 't'.repeat(40) });

async function main() {
    const calls = JSON.parse(require('fs').readFileSync(0, 'utf8'));
    for (const [name, options] of calls) {
        if (options.file) {
            options.file = Buffer.from(options.file, 'utf8');
        }
        if (options.files) {
            options.files = { file: Buffer.from(options.files, 'utf8') };
        }
        await particle[name](options).catch(() => {});
    }
    process.exit(0);
}

main();
