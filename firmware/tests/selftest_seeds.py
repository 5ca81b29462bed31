"""Requests and frames that the fuzzer of the self-test starts from.

selftest_seeds.py FOLDER
"""

import struct
import sys
import zlib
from pathlib import Path

TESTS = [
    *("identity", "modules", "counters", "gpio", "i2c", "adc", "ram", "flash", "radio", "disconnect"),
    *("connect", "publish", "subscribe", "function"),
]
REQUESTS = [
    b"",
    *(b'{"c":"%c"}' % command for command in b"ilsLMraRd"),
    *(b'{"c":"t","t":"%s","n":7,"may_connect":true}' % test.encode() for test in TESTS),
    b'{"c":"t","t":"adc","p":{"samples":4}}',
    b'{"c":"t","t":"radio","p":{"on":false,"timeout_s":3}}',
    b'{"c":"t","t":"publish","may_connect":1,"p":{"name":"hil\\u002f1","data":"nonce"}}',
    b'{"c":"t","x":[{"a":null},-1.5e3,[true,"\\n"]]}',
]


def frame(kind: int, payload: bytes) -> bytes:
    """A frame between its zero bytes; no seed has a run of 254 bytes without a zero."""
    plain = struct.pack("<BBH", kind, 1, len(payload)) + payload
    plain += struct.pack("<I", zlib.crc32(plain))
    return b"\0" + b"".join(bytes([len(block) + 1]) + block for block in plain.split(b"\0")) + b"\0"


folder = Path(sys.argv[1])
for number, request in enumerate(REQUESTS):
    (folder / f"request-{number}").write_bytes(request)
    (folder / f"frame-{number}").write_bytes(b"log\r\n" + frame(ord("Q"), request))
(folder / "ping").write_bytes(frame(1, b""))
