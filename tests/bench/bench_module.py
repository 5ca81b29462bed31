"""Module parsing in one process against npm's binary-version-reader in one node process, and CRC-32 against zlib.

Usage: bench_module.py FOLDER, with the folder that ``make firmware-for-tests`` fills, by the Python of an environment
with particle-dev. Both sides take turns; the medians are compared. Exits with 1 when a target is missed.
"""

import json
import os
import statistics
import subprocess
import sys
import time
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from isal import isal_zlib

from particle_dev.errors import ModuleFormatError
from particle_dev.protocol.module import parse

FILE = "particle-cli-2.12.0/package/assets/updates/boron-system-part1@2.1.0.bin"
ROUNDS, BATCH, FOLDER_ROUNDS, FOLDER_FILES = 31, 20, 9, 1000

# One request a line: a list of files to read and parse, or a number of times to parse the first one from memory.
# The answer is the time in milliseconds; every CRC must be right.
JUDGE = """
const { HalModuleParser } = require('binary-version-reader');
const fs = require('fs');
const parser = new HalModuleParser();
const memory = fs.readFileSync(process.argv[1]);
(async () => {
    for await (const line of require('readline').createInterface({ input: process.stdin })) {
        const request = JSON.parse(line);
        const start = process.hrtime.bigint();
        if (typeof request === 'number') {
            for (let i = 0; i < request; i++) {
                const { crc } = await parser.parseBuffer({ fileBuffer: memory });
                if (!crc.ok) process.exit(1);
            }
        } else {
            for (const file of request) {
                const { crc } = await parser.parseFile(file);
                if (!crc.ok) process.exit(1);
            }
        }
        console.log(Number(process.hrtime.bigint() - start) / 1e6);
    }
})();
"""


def milliseconds(call: Callable[[], object], calls: int = BATCH) -> float:
    """Wall-clock time of one of several calls in a row."""
    start_s = time.perf_counter()
    for _ in range(calls):
        call()
    return (time.perf_counter() - start_s) * 1000 / calls


def compare(name: str, ours: Callable[[], float], theirs: Callable[[], float], target: float, rounds: int) -> bool:
    """Print one line; whether ours is ``target`` times as fast."""
    ours()
    theirs()
    samples = [(ours(), theirs()) for _ in range(rounds)]
    ours_ms, theirs_ms = (statistics.median(column) for column in zip(*samples, strict=True))
    ratio = theirs_ms / ours_ms
    verdict = "" if ratio >= target else "  MISSED"
    print(f"{name}: {ours_ms:.3f} ms, theirs {theirs_ms:.3f} ms, {ratio:.1f} x (target {target:g} x){verdict}")
    return ratio >= target


def main() -> int:
    """All four ratios."""
    folder = Path(sys.argv[1])
    data = folder.joinpath(FILE).read_bytes()
    modules = [p for p in sorted(folder.glob("particle-cli-*/**/*.bin")) if is_module(p)]
    paths = [modules[i % len(modules)] for i in range(FOLDER_FILES)]
    names = [str(path) for path in paths]
    judge = subprocess.Popen(
        ["node", "-e", JUDGE, str(folder / FILE)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "NODE_PATH": str(folder / "node/node_modules")},
        text=True,
    )
    assert judge.stdin and judge.stdout

    def ask(request: object) -> float:
        judge.stdin.write(json.dumps(request) + "\n")
        judge.stdin.flush()
        return float(judge.stdout.readline())

    # Hashing takes 85 % of the time and frees the interpreter: a thread for each core, with its share of the files.
    thread_count = min(4, os.cpu_count() or 1)

    def parse_share(share: list[Path]) -> bool:
        return all(parse(path.read_bytes()).ok for path in share)

    def parse_all() -> None:
        with ThreadPoolExecutor(thread_count) as threads:
            assert all(threads.map(parse_share, [paths[i::thread_count] for i in range(thread_count)]))

    good = [
        compare(
            "CRC-32 of 500 kB, isal against zlib",
            lambda: milliseconds(lambda: isal_zlib.crc32(data)),
            lambda: milliseconds(lambda: zlib.crc32(data)),
            5,
            ROUNDS,
        ),
        compare(
            "parse and CRC-32, 500 kB system part, against binary-version-reader",
            lambda: milliseconds(lambda: parse(data, check_sha256=False)),
            lambda: ask(BATCH) / BATCH,
            10,
            ROUNDS,
        ),
        compare(
            "parse, CRC-32 and SHA-256 against binary-version-reader with CRC-32 alone",
            lambda: milliseconds(lambda: parse(data)),
            lambda: ask(BATCH) / BATCH,
            3,
            ROUNDS,
        ),
        compare(
            f"read and check {FOLDER_FILES} files, {sum(p.stat().st_size for p in paths) / 1e6:.0f} MB,"
            f" likewise, in {thread_count} threads",
            lambda: milliseconds(parse_all, 1),
            lambda: ask(names),
            3,
            FOLDER_ROUNDS,
        ),
    ]
    judge.stdin.close()
    return 0 if all(good) else 1


def is_module(path: Path) -> bool:
    """The packages also hold four programs without a module header."""
    try:
        return parse(path.read_bytes()).ok
    except ModuleFormatError:
        return False


if __name__ == "__main__":
    sys.exit(main())
