"""The npm package binary-version-reader 3.1.3 reads the same files, whole and damaged: every field must agree, or the
difference is one of those listed on purpose."""

import hashlib
import importlib.util
import random
import struct
import zlib
from collections import Counter
from pathlib import Path

import pytest

from particle_dev.errors import ModuleFormatError
from particle_dev.protocol.module import parse

pytestmark = [pytest.mark.firmware, pytest.mark.timeout(900)]

_SPEC = importlib.util.spec_from_file_location(
    "binary_version_reader", Path(__file__).with_name("binary_version_reader.py")
)
bvr = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(bvr)
Difference = bvr.Difference

TLV_TYPES = (0, 1, 2, 3, 0x10, 0x11, 0x12, 0x13, 0x14, 0x777, 0xFFFF)
SEEN = Counter()
"""Cases and classes of difference, over all tests of this file."""


@pytest.fixture(scope="module")
def judge(node_modules):
    judge = bvr.Judge(node_modules)
    yield judge
    judge.close()


@pytest.fixture(scope="module")
def files(particle_cli_firmware):
    """Every distinct .bin file of the packages: 90 modules and 4 files that are none."""
    distinct = {}
    for path in sorted(particle_cli_firmware.glob("particle-cli-*/**/*.bin")):
        distinct.setdefault(hashlib.sha256(path.read_bytes()).digest(), path)
    return list(distinct.values())


def check_all(judge, path, requests):
    data = path.read_bytes()
    for request, judged in zip(requests, judge.ask(path, requests), strict=True):
        try:
            found = bvr.compare(bvr.changed(data, request), judged)
        except AssertionError as error:
            raise AssertionError(f"{path.name} {request}: judge says {judged}") from error
        SEEN["cases"] += 1
        SEEN.update(found)


def modules_of(files):
    for path in files:
        data = path.read_bytes()
        try:
            yield path, data, parse(data)
        except ModuleFormatError:
            continue


def resealed(data, patch):
    """The patch, with the CRC that makes the module good again where the old end says it is."""
    new = bvr.changed(data, {"patch": patch})
    return {"patch": [*patch, [len(data) - 4, f"{zlib.crc32(new[:-4]):08x}"]]}


def test_every_real_file(judge, files):
    assert len(files) == 94
    for path in files:
        check_all(judge, path, [{"patch": []}])
    assert len(list(modules_of(files))) == 90


def test_cut_anywhere(judge, files):
    for path in files:
        size = path.stat().st_size
        sizes = sorted({*range(min(512, size) + 1), *(size * n // 200 for n in range(200))})
        check_all(judge, path, [{"cut": cut} for cut in sizes])


def test_every_bit_of_every_header_field(judge, files):
    """Prefix, product data, reserved, first and last byte of the SHA-256, suffix size, CRC; each with the old CRC and,
    but for the CRC itself, with a new one."""
    for path, data, module in modules_of(files):
        end = module.size_bytes - 4
        prefix = range(module.prefix_offset, module.prefix_offset + 24)
        suffix = (*range(end - 40, end - 33), end - 3, end - 2, end - 1)
        requests = []
        for offset in (*prefix, *suffix, *range(end, end + 4)):
            for bit in range(8):
                patch = [[offset, f"{data[offset] ^ 1 << bit:02x}"]]
                requests.append({"patch": patch})
                if offset < end:
                    requests.append(resealed(data, patch))
        check_all(judge, path, requests)


def random_tlvs(rng, size):
    """TLVs that fill ``size`` bytes or, sometimes, more or fewer than they say."""
    area = b""
    while len(area) < size:
        kind = rng.choice(TLV_TYPES)
        length = rng.choice((rng.randrange(4, 60), rng.randrange(4, 60), rng.randrange(0, 5), rng.randrange(65536)))
        payload = bytearray(rng.randbytes(max(0, min(length - 4, size))))
        if kind in (0x10, 0x12) and len(payload) >= 2 and rng.random() < 0.8:
            payload[1] = rng.randrange(min(256, len(payload) - 1))
        area += struct.pack("<HH", kind, length) + payload
    return area[:size]


def test_random_tlvs(judge, files):
    """TLV areas of all sizes, written over the body: in front with the flag set, behind with the suffix size set."""
    rng = random.Random("tlv")
    for path, data, module in modules_of(files):
        requests = []
        start, end = module.prefix_offset, module.size_bytes - 4
        for _ in range(40):
            front = random_tlvs(rng, rng.randrange(4, 200)) + (b"\0\0\4\0" if rng.random() < 0.5 else b"")
            flags = f"{data[start + 9] | 0x10:02x}"
            requests.append(resealed(data, [[start + 9, flags], [start + 24, front.hex()]]))
            size = rng.choice((rng.randrange(65536), *(rng.randrange(36, 300) for _ in range(8)), 40, 42, 36))
            behind = random_tlvs(rng, max(0, min(size, end - start - 24) - 36))
            patch = [[end - 36 - len(behind), behind.hex()], [end - 2, struct.pack("<H", size).hex()]]
            requests.append(resealed(data, patch))
        check_all(judge, path, requests)


def test_padding(judge, files):
    """Cut off the last bytes behind a shorter module: our answer is the module's, the judge's the file's."""
    for path, data, module in list(modules_of(files))[::10]:
        at = module.prefix_offset + 4
        shorter = [[at, struct.pack("<I", module.end_address - 4 * n).hex()] for n in range(1, 30)]
        check_all(judge, path, [resealed(data, [patch]) for patch in shorter])


def test_prefix_in_another_place(judge, files):
    """The judge finds a prefix at any multiple of 4 below 8 KiB; devices know six places."""
    for path, data, module in list(modules_of(files))[::10]:
        prefix = data[module.prefix_offset : module.prefix_offset + 24]
        moved = [[module.prefix_offset, "00" * 24], [0x40, prefix.hex()]]
        check_all(judge, path, [resealed(data, moved)])
        (answer,) = judge.ask(path, [resealed(data, moved)])
        assert (answer["crc"]["ok"], answer["prefixInfo"]["prefixOffset"]) == (True, 0x40)


def test_no_class_of_difference_is_idle():
    """Runs last: what never occurs needs no excuse."""
    assert {d for d in Difference if not SEEN[d]} == set(), SEEN
    assert SEEN["cases"] > 100_000
    print(dict(SEEN))
