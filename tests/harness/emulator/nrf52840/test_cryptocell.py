"""CRYPTOCELL, by its registers."""

import hashlib

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, modes
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from particle_harness.emulator.nrf52840.cryptocell import CryptoCellEngine

from .rig import RAM, Rig

KEY = bytes(range(16))
# Numbers of the modes, and FIPS 180-4, 5.3.
STARTS = {
    "sha1": (1, "67452301 efcdab89 98badcfe 10325476 c3d2e1f0"),
    "sha224": (10, "c1059ed8 367cd507 3070dd17 f70e5939 ffc00b31 68581511 64f98fa7 befa4fa4"),
    "sha256": (2, "6a09e667 bb67ae85 3c6ef372 a54ff53a 510e527f 9b05688c 1f83d9ab 5be0cd19"),
}


@pytest.fixture
def rig():
    return Rig()


class TestCryptoCell:
    @pytest.fixture
    def block(self, rig):
        return CryptoCellEngine(rig.line, rig.bus, 7)

    @pytest.fixture
    def engine(self, rig, block):
        engine = rig.add(block, 0x5002B000)
        for n in range(4):
            engine[0x400 + 4 * n] = int.from_bytes(KEY[4 * n : 4 * n + 4], "little")
        return engine

    @staticmethod
    def set_words(engine, offset, data):
        for at in range(0, len(data), 4):
            engine[offset + at] = int.from_bytes(data[at : at + 4], "little")

    @staticmethod
    def aes(rig, engine, control, data):
        rig.bus.write(RAM, data)
        engine[0x900], engine[0x4C0] = 1, control
        engine[0xD28], engine[0xD2C] = RAM + 0x200, len(data)
        engine[0xC28], engine[0xC2C] = RAM, len(data)
        return rig.bus.read(RAM + 0x200, len(data))

    @pytest.mark.parametrize(("mode", "control"), [(modes.ECB(), 0), (modes.CBC(b"i" * 16), 1 << 2)])
    @pytest.mark.parametrize("decrypts", [False, True])
    def test_aes_both_ways(self, rig, engine, mode, control, decrypts):
        data = bytes(range(64))
        cipher = Cipher(AES(KEY), mode)
        expected = (cipher.decryptor() if decrypts else cipher.encryptor()).update(data)
        self.set_words(engine, 0x440, b"i" * 16)
        assert self.aes(rig, engine, control | decrypts, data) == expected
        assert engine[0xA00] == 1 << 6 | 1 << 7 | 1 << 11

    def test_aes_chains_go_on_from_one_piece_to_the_next(self, rig, engine):
        data = bytes(range(64))
        self.set_words(engine, 0x440, b"i" * 16)
        pieces = b"".join(self.aes(rig, engine, 1 << 2, data[at : at + 32]) for at in (0, 32))
        assert pieces == Cipher(AES(KEY), modes.CBC(b"i" * 16)).encryptor().update(data)

    def test_aes_counts_and_ends_within_a_block(self, rig, engine):
        start = b"\xff" * 15 + b"\xfe"
        self.set_words(engine, 0x460, start)
        expected = Cipher(AES(KEY), modes.CTR(start)).encryptor().update(bytes(40))
        assert self.aes(rig, engine, 2 << 2, bytes(40)) == expected

    def test_aes_with_256_bits_and_a_mac_that_stays_in_the_registers(self, rig, engine):
        self.set_words(engine, 0x400, bytes(range(32)))
        data = bytes(range(48))
        rig.bus.write(RAM, data)
        engine[0x900], engine[0x4C0] = 1, 3 << 2 | 2 << 12
        engine[0xC28], engine[0xC2C] = RAM, len(data)
        mac = b"".join(engine[0x440 + 4 * n].to_bytes(4, "little") for n in range(4))
        chained = Cipher(AES(bytes(range(32))), modes.CBC(bytes(16))).encryptor().update(data)
        assert mac == chained[-16:]

    def test_entropy_interrupts_where_it_is_let(self, rig, engine):
        engine[0xA04] = ~(1 << 10) & 0xFFFFFFFF
        engine[0x12C] = 1
        assert rig.line.level
        engine[0xA08] = 1 << 10
        assert not rig.line.level
        assert len({engine[0x114 + 4 * n] for n in range(6)}) == 6

    def test_what_is_not_here_is_noted_and_never_done(self, rig, block, engine):
        engine[0x900] = 2
        engine[0xC28], engine[0xC2C] = RAM, 64
        engine[0x080] = 0x1A << 27
        engine[0x900], engine[0x7C0] = 7, 0
        engine[0xC28], engine[0xC2C] = RAM, 64
        engine[0x7C0] = 2
        engine[0xC28], engine[0xC2C] = RAM, 63
        assert not engine[0xA00] & (1 << 6 | 1 << 11)
        assert block.asked_for == [
            "symmetric engine, CRYPTO_CTL.MODE 2",
            "public key engine, operation 0x1a",
            "hash, HASH_CONTROL.MODE 0 with 64 bytes",
            "hash, HASH_CONTROL.MODE 2 with 63 bytes",
        ]


class TestHashes:
    """As the engine's driver asks, piece by piece, against hashlib."""

    @pytest.fixture
    def engine(self, rig):
        return rig.add(CryptoCellEngine(rig.line, rig.bus, 7), 0x5002B000)

    @staticmethod
    def start(engine, name):
        mode, state = STARTS[name]
        engine[0x900], engine[0x7C0], engine[0x7C4] = 7, mode, 1
        engine[0x7CC] = engine[0x7D0] = 0
        for n, word in enumerate(state.split()):
            engine[0x640 + 4 * n] = int(word, 16)

    @staticmethod
    def give(rig, engine, piece, *, last):
        if last and not piece:
            engine[0x7C8] = 1 << 2
            return
        rig.bus.write(RAM, piece)
        engine[0x684] = int(last)
        engine[0xC28], engine[0xC2C] = RAM, len(piece)
        assert engine[0xA00] & 1 << 6
        engine[0xA08] = 1 << 6
        engine[0x684] = 0

    @staticmethod
    def digest(engine, name):
        size = hashlib.new(name).digest_size
        return b"".join(engine[0x640 + 4 * n].to_bytes(4, "big") for n in range(size // 4))

    @pytest.mark.parametrize("name", STARTS)
    @pytest.mark.parametrize("size", [0, 1, 3, 55, 56, 63, 64, 65, 128, 300])
    def test_a_message_in_whole_blocks_and_a_rest(self, rig, engine, name, size):
        message = bytes(n * 7 & 0xFF for n in range(size))
        whole = size // 64 * 64
        self.start(engine, name)
        if whole:
            self.give(rig, engine, message[:whole], last=False)
        assert engine[0x7CC] == whole
        self.give(rig, engine, message[whole:], last=True)
        assert self.digest(engine, name) == hashlib.new(name, message).digest()

    def test_two_messages_take_turns_by_their_saved_state(self, rig, engine):
        messages = [bytes(192), bytes(range(192))]
        saved = []
        for message in messages:
            self.start(engine, "sha256")
            self.give(rig, engine, message[:64], last=False)
            saved.append([engine[0x640 + 4 * n] for n in range(8)])
        for message, state in zip(messages, saved, strict=True):
            for n, word in enumerate(state):
                engine[0x640 + 4 * n] = word
            engine[0x7CC], engine[0x7D0] = 64, 0
            self.give(rig, engine, message[64:], last=True)
            assert self.digest(engine, "sha256") == hashlib.sha256(message).digest()

    def test_a_message_of_more_than_four_gigabytes_counts_on(self, rig, engine):
        self.start(engine, "sha1")
        engine[0x7CC], engine[0x7D0] = 0xFFFFFFC0, 1
        self.give(rig, engine, bytes(64), last=False)
        assert (engine[0x7CC], engine[0x7D0]) == (0, 2)


class TestPublicKeys:
    """Each operation as the engine's driver asks for it, against Python's own arithmetic."""

    P256 = 0xFFFFFFFF00000001000000000000000000000000FFFFFFFFFFFFFFFFFFFFFFFF
    A, B, R, T = 2, 3, 4, 5

    @pytest.fixture
    def engine(self, rig):
        engine = rig.add(CryptoCellEngine(rig.line, rig.bus, 7), 0x5002B000)
        for register in range(8):
            engine[4 * register] = 16 * register
        engine[0x090], engine[0x094] = 256, 320
        return engine

    @staticmethod
    def put(engine, register, value):
        engine[0x0D4] = 16 * register
        for n in range(10):
            engine[0x0D8] = value >> 32 * n & 0xFFFFFFFF

    @staticmethod
    def get(engine, register):
        engine[0x0E4] = 16 * register
        return sum(engine[0x0DC] << 32 * n for n in range(10))

    def run(self, engine, operation, a, b, *, length=1, immediate=None, discards=False, tag=0):
        self.put(engine, 0, self.P256)
        self.put(engine, self.A, a)
        self.put(engine, self.B, b)
        second = self.B if immediate is None else 1 << 5 | immediate
        word = operation << 27 | length << 24 | self.A << 18 | second << 12 | discards << 11 | self.R << 6 | tag
        engine[0x080] = word
        assert engine[0x0B4] == 1
        return self.get(engine, self.R)

    @pytest.mark.parametrize(
        ("operation", "expected"),
        [
            (0x04, lambda a, b, _n: a + b),
            (0x08, lambda a, b, _n: a & b),
            (0x09, lambda a, b, _n: a | b),
            (0x0A, lambda a, b, _n: a ^ b),
            (0x06, lambda a, b, n: (a + b) % n),
            (0x07, lambda a, b, n: (a - b) % n),
            (0x11, lambda a, b, n: a * b % n),
            (0x12, lambda a, b, n: a * b % n),
            (0x13, pow),
            (0x15, lambda _a, b, n: pow(b, -1, n)),
            (0x14, lambda a, b, _n: a // b),
            (0x1B, lambda a, _b, n: a % n),
        ],
    )
    def test_arithmetic(self, engine, operation, expected):
        a, b = 3 * self.P256 // 7 << 9, self.P256 // 11
        length = 0 if operation in (0x06, 0x07, 0x11, 0x12, 0x13, 0x15, 0x1B) else 1
        assert self.run(engine, operation, a, b, length=length) == expected(a, b, self.P256)

    def test_multiply_and_add(self, engine):
        self.put(engine, self.T, 12345)
        assert self.run(engine, 0x19, self.P256 - 2, 3, length=0, tag=self.T) == 12345 - 6

    def test_division_leaves_the_remainder(self, engine):
        self.run(engine, 0x14, 1000, 7)
        assert self.get(engine, self.A) == 1000 % 7

    @pytest.mark.parametrize(("a", "b", "carry", "zero"), [(5, 3, 1, 0), (3, 3, 1, 1), (3, 5, 0, 0)])
    def test_differences_tell_which_is_greater(self, engine, a, b, carry, zero):
        self.put(engine, self.R, 77)
        assert self.run(engine, 0x05, a, b, discards=True) == 77
        assert (engine[0x088] >> 9 & 1, engine[0x088] >> 12 & 1) == (carry, zero)

    @pytest.mark.parametrize(
        ("operation", "immediate", "expected"),
        [(0x08, 0x1E, 0xABCDE), (0x09, 0, 0xABCDF), (0x0A, 1, 0xABCDE), (0x05, 2, 0xABCDD)],
    )
    def test_immediate_operands_have_a_sign(self, engine, operation, immediate, expected):
        assert self.run(engine, operation, 0xABCDF, 0, immediate=immediate) == expected

    def test_shifts(self, engine):
        assert self.run(engine, 0xC, 0x1000, 0, immediate=3) == 0x100
        assert self.run(engine, 0xE, 0x1000, 0, immediate=3) == 0x10000
        assert self.run(engine, 0xF, 1, 0, immediate=0) == 3

    def test_a_number_without_an_inverse(self, engine):
        self.put(engine, self.R, 9)
        assert self.run(engine, 0x15, 0, self.P256, length=0) == 9
        assert engine[0x088] >> 15 & 1
