"""CRYPTOCELL 310: its random numbers, its AES, its hashes and its arithmetic of large numbers. Modes that combine them
are not here, and asking for them is noted.

Nordic documents the subsystem's ENABLE register alone; the engine's registers are those that the nRF5340 Product
Specification v1.3 documents for its sibling, the CryptoCell 312.
"""

from __future__ import annotations

import random
from typing import ClassVar

from particle_harness.emulator.core.interrupt_line import InterruptLine
from particle_harness.emulator.nrf52840.hashes import BLOCK_BYTES, digest_blocks, padding, state_words
from particle_harness.emulator.nrf52840.public_keys import PublicKeyEngine
from particle_harness.emulator.peripherals.aes import BLOCK_SIZE_BYTES, decrypt, encrypt
from particle_harness.emulator.peripherals.registers import Register, RegisterBlock, RegisterMap
from particle_harness.swd.bus import Bus

_SYMMETRIC_DONE, _RNG_DONE, _PKA_DONE, _OUTPUT_DONE, _INPUT_DONE = 1 << 11, 1 << 10, 1 << 9, 1 << 7, 1 << 6
_RND_SOURCE_ENABLE, _HOST_IMR = 0x12C, 0xA04
_KEY, _IV, _CTR, _AES_CONTROL, _CRYPTO_CTL = 0x400, 0x440, 0x460, 0x4C0, 0x900
_HASH_H, _HASH_PAD_AUTO, _HASH_CONTROL, _HASH_LENGTH = 0x640, 0x684, 0x7C0, 0x7CC
_PADS = 1 << 2
_SOURCE, _DESTINATION = 0xC28, 0xD28
_LENGTH_MASK = 0x3FFFFFFF
_BYPASS, _AES, _HASH = 0, 1, 7
_ECB, _CBC, _COUNTER, _CBC_MAC, _CMAC = 0, 1, 2, 3, 7


class CryptoCellSwitch(RegisterBlock):
    """ENABLE of the subsystem."""

    registers: ClassVar[RegisterMap] = RegisterMap(
        "CRYPTOCELL", "nRF52840 PS v1.7, 6.6 CRYPTOCELL", Register("ENABLE", 0x500)
    )


class CryptoCellEngine(RegisterBlock):
    """Entropy is there at once, from a seed; AES, hashes and operations on numbers are done when they are asked for.
    ``asked_for``: names of what firmware wanted and did not get; it then waits for ever."""

    registers: ClassVar[RegisterMap] = RegisterMap(
        "CC_HOST_RGF",
        "nRF5340 PS v1.3, 7.7 CRYPTOCELL: CC_AES, CC_CTL, CC_DIN, CC_DOUT, CC_HASH, CC_HOST_RGF, CC_PKA, CC_RNG",
        Register("MEMORY_MAP", 0x000, count=32),
        Register("OPCODE", 0x080),
        Register("N_NP_T0_T1_ADDR", 0x084),
        Register("PKA_STATUS", 0x088, access="r"),
        Register("PKA_SW_RESET", 0x08C, access="w"),
        Register("PKA_L", 0x090, count=8),
        Register("PKA_PIPE", 0x0B0, access="r"),
        Register("PKA_DONE", 0x0B4, access="r"),
        Register("PKA_SRAM_ADDR", 0x0D4),
        Register("PKA_SRAM_WDATA", 0x0D8),
        Register("PKA_SRAM_RDATA", 0x0DC),
        Register("PKA_SRAM_WR_CLR", 0x0E0),
        Register("PKA_SRAM_RADDR", 0x0E4),
        Register("RNG_IMR", 0x100),
        Register("RNG_ISR", 0x104, access="r"),
        Register("RNG_ICR", 0x108),
        Register("TRNG_CONFIG", 0x10C),
        Register("TRNG_VALID", 0x110, access="r"),
        Register("EHR_DATA", 0x114, access="r", count=6),
        Register("RND_SOURCE_ENABLE", _RND_SOURCE_ENABLE),
        Register("SAMPLE_CNT1", 0x130),
        Register("TRNG_DEBUG_CONTROL", 0x138),
        Register("RNG_SW_RESET", 0x140, access="w"),
        Register("RNG_BUSY", 0x1B8, access="r"),
        Register("RST_BITS_COUNTER", 0x1BC),
        Register("RNG_CLK_ENABLE", 0x1C4),
        Register("RNG_DMA", 0x1C8, count=4),
        Register("AES_KEY", _KEY, count=16),
        Register("AES_IV", _IV, count=8),
        Register("AES_CTR", _CTR, count=4),
        Register("AES_BUSY", 0x470, access="r"),
        Register("AES_CMAC_INIT", 0x47C),
        Register("AES_REMAINING_BYTES", 0x4BC),
        Register("AES_CONTROL", _AES_CONTROL),
        Register("AES_CMAC_SIZE0_KICK", 0x524),
        Register("HASH_H", _HASH_H, count=9),
        Register("HASH_PAD_AUTO", _HASH_PAD_AUTO),
        Register("HASH_CONTROL", _HASH_CONTROL),
        Register("HASH_PAD", 0x7C4),
        Register("HASH_PAD_FORCE", 0x7C8),
        Register("HASH_CUR_LEN", _HASH_LENGTH, count=2),
        Register("AES_CLK_ENABLE", 0x810),
        Register("HASH_CLK_ENABLE", 0x818),
        Register("PKA_CLK_ENABLE", 0x81C),
        Register("DMA_CLK_ENABLE", 0x820),
        Register("CLK_STATUS", 0x824),
        Register("CRYPTO_CTL", _CRYPTO_CTL),
        Register("CRYPTO_BUSY", 0x910, access="r"),
        Register("HASH_BUSY", 0x91C, access="r"),
        Register("HOST_IRR", 0xA00, access="r"),
        Register("HOST_IMR", _HOST_IMR, reset=0xFFFFFFFF),
        Register("HOST_ICR", 0xA08, access="w"),
        Register("DIN_MEM_DMA_BUSY", 0xC20, access="r"),
        Register("SRC_LLI_WORD0", _SOURCE),
        Register("SRC_LLI_WORD1", _SOURCE + 4),
        Register("DIN_SRAM_DMA_BUSY", 0xC38, access="r"),
        Register("DOUT_MEM_DMA_BUSY", 0xD20, access="r"),
        Register("DST_LLI_WORD0", _DESTINATION),
        Register("DST_LLI_WORD1", _DESTINATION + 4),
        Register("DOUT_SRAM_DMA_BUSY", 0xD38, access="r"),
    )

    def __init__(self, line: InterruptLine, bus: Bus, seed: int) -> None:
        self.line = line
        self.bus = bus
        self.generator = random.Random(seed)
        self.pending = 0
        self.output: tuple[int, int] | None = None
        self.public_keys = PublicKeyEngine()
        self.asked_for: list[str] = []
        super().__init__("CC310")

    def reset(self) -> None:
        """Nothing pending."""
        super().reset()
        self.pending = 0
        self.output = None
        self.public_keys.reset()
        self._pull()

    def _pull(self) -> None:
        self.line.set(bool(self.pending & ~self.stored[_HOST_IMR]))

    def _finish(self, causes: int) -> None:
        self.pending |= causes
        self._pull()

    # ---- random numbers ---------------------------------------------------------------------------------------------

    def read_trng_valid(self) -> int:
        """There are random bits."""
        return 1

    def read_rng_isr(self) -> int:
        """They are there."""
        return 1

    def read_ehr_data(self, _index: int) -> int:
        """Random bits."""
        return self.generator.getrandbits(32)

    def write_rnd_source_enable(self, value: int) -> None:
        """Starts to collect entropy, and has it."""
        self.stored[_RND_SOURCE_ENABLE] = value
        if value & 1:
            self._finish(_RNG_DONE)

    # ---- causes of interrupts ---------------------------------------------------------------------------------------

    def read_host_irr(self) -> int:
        """Causes that are pending."""
        return self.pending

    def write_host_imr(self, value: int) -> None:
        """Masks causes."""
        self.stored[_HOST_IMR] = value
        self._pull()

    def write_host_icr(self, value: int) -> None:
        """Ones clear."""
        self.pending &= ~value
        self._pull()

    # ---- symmetric engine -------------------------------------------------------------------------------------------

    def write_dst_lli_word1(self, value: int) -> None:
        """Where the output goes, and how much there is room for."""
        self.stored[_DESTINATION + 4] = value
        self.output = (self.stored[_DESTINATION], value & _LENGTH_MASK)

    def write_src_lli_word1(self, value: int) -> None:
        """Where the input is, and how long: it is processed."""
        self.stored[_SOURCE + 4] = value
        data = self.bus.read(self.stored[_SOURCE], value & _LENGTH_MASK)
        mode = self.stored[_CRYPTO_CTL] & 0x1F
        work = {_BYPASS: lambda given: given, _AES: self._aes, _HASH: self._hash}.get(mode)
        if work is None:
            self._refuse(f"symmetric engine, CRYPTO_CTL.MODE {mode}")
        result = work(data) if work is not None else None
        if result is None:
            return
        causes = _INPUT_DONE | _SYMMETRIC_DONE
        if self.output is not None:
            address, size_bytes = self.output
            self.bus.write(address, result[:size_bytes])
            self.output = None
            causes |= _OUTPUT_DONE
        self._finish(causes)

    def _refuse(self, what: str) -> None:
        if what not in self.asked_for:
            self.asked_for.append(what)

    def _words(self, offset: int, count: int) -> bytes:
        return b"".join(self.stored[offset + 4 * n].to_bytes(4, "little") for n in range(count))

    def _set_words(self, offset: int, data: bytes) -> None:
        for at in range(0, len(data), 4):
            self.stored[offset + at] = int.from_bytes(data[at : at + 4], "little")

    def _aes(self, data: bytes) -> bytes | None:
        """AES_CONTROL: bit 0 decrypts, bits 2 to 4 are the mode, bits 12 and 13 the length of the key."""
        control = self.stored[_AES_CONTROL]
        decrypts, mode, key_words = control & 1, control >> 2 & 7, 4 + 2 * (control >> 12 & 3)
        key = self._words(_KEY, key_words)
        blocks = [data[at : at + BLOCK_SIZE_BYTES] for at in range(0, len(data), BLOCK_SIZE_BYTES)]
        if mode == _ECB:
            return b"".join((decrypt if decrypts else encrypt)(key, block) for block in blocks)
        if mode == _COUNTER:
            return b"".join(_xor(block, encrypt(key, self._count())) for block in blocks)
        if mode in (_CBC, _CBC_MAC, _CMAC) and len(data) % BLOCK_SIZE_BYTES == 0:
            chain, result = self._words(_IV, 4), b""
            for block in blocks:
                if decrypts and mode == _CBC:
                    result, chain = result + _xor(decrypt(key, block), chain), block
                else:
                    chain = encrypt(key, _xor(block, chain))
                    result += chain
            self._set_words(_IV, chain)
            return result
        self._refuse(f"AES_CONTROL 0x{control:X} with {len(data)} bytes")
        return None

    def _count(self) -> bytes:
        count = self._words(_CTR, 4)
        following = int.from_bytes(count, "big") + 1 & (1 << 8 * BLOCK_SIZE_BYTES) - 1
        self._set_words(_CTR, following.to_bytes(BLOCK_SIZE_BYTES, "big"))
        return count

    # ---- hashes -----------------------------------------------------------------------------------------------------

    def _hash(self, data: bytes) -> bytes | None:
        """Digests whole blocks, or the end of a message with its padding; the state is in registers. No output."""
        mode = self.stored[_HASH_CONTROL] & 0xF
        words = state_words(mode)
        length = (self.stored[_HASH_LENGTH] | self.stored[_HASH_LENGTH + 4] << 32) + len(data)
        whole = data + padding(length) if self.stored[_HASH_PAD_AUTO] & 1 else data
        if words is None or len(whole) % BLOCK_BYTES:
            self._refuse(f"hash, HASH_CONTROL.MODE {mode} with {len(data)} bytes")
            return None
        state = digest_blocks(mode, [self.stored[_HASH_H + 4 * n] for n in range(words)], whole)
        for n, word in enumerate(state):
            self.stored[_HASH_H + 4 * n] = word
        self.stored[_HASH_LENGTH], self.stored[_HASH_LENGTH + 4] = length & 0xFFFFFFFF, length >> 32 & 0xFFFFFFFF
        return b""

    def write_hash_pad_force(self, value: int) -> None:
        """Pads a message whose last piece has no bytes."""
        if value & _PADS:
            self.stored[_HASH_PAD_AUTO] |= 1
            self._hash(b"")
            self.stored[_HASH_PAD_AUTO] &= ~1

    # ---- public keys ------------------------------------------------------------------------------------------------

    def read_pka_pipe(self) -> int:
        """It takes the next operation."""
        return 1

    def read_pka_done(self) -> int:
        """The last one is over."""
        return 1

    def write_opcode(self, value: int) -> None:
        """Does an operation at once."""
        self.stored[0x080] = value
        if not self.public_keys.execute(value):
            self._refuse(f"public key engine, operation {value >> 27:#x}")
        self._finish(_PKA_DONE)

    def read_pka_status(self) -> int:
        """Of the last operation."""
        return self.public_keys.status

    def write_memory_map(self, index: int, value: int) -> None:
        """Where a register of the engine begins, in words."""
        self.stored[4 * index] = value
        self.public_keys.places[index] = value

    def write_pka_l(self, index: int, value: int) -> None:
        """A length in bits."""
        self.stored[0x090 + 4 * index] = value
        self.public_keys.lengths[index] = value

    def write_n_np_t0_t1_addr(self, value: int) -> None:
        """Which registers are the modulus and its helpers."""
        self.stored[0x084] = value
        self.public_keys.special = value

    def write_pka_sw_reset(self, _value: int) -> None:
        """The engine starts anew."""
        self.public_keys.reset()

    def write_pka_sram_addr(self, value: int) -> None:
        """Where the next word is written."""
        self.public_keys.write_at = value

    def write_pka_sram_wdata(self, value: int) -> None:
        """A word of a number."""
        self.public_keys.store(value)

    def write_pka_sram_raddr(self, value: int) -> None:
        """Where the next word is read."""
        self.public_keys.read_at = value

    def read_pka_sram_rdata(self) -> int:
        """A word of a number."""
        return self.public_keys.load()


def _xor(first: bytes, second: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(first, second, strict=False))
