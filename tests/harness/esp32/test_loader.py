"""The virtual ROM loader by itself. tests/judges/esp has esptool, unmodified, talk to it."""

import hashlib
import struct
import zlib

import pytest
from particle_harness.esp32.chip import ChipFaults, Runs, VirtualEsp32
from particle_harness.esp32.image import boot_choice, esp_image
from particle_harness.esp32.loader import (
    FLASH_BEGIN,
    FLASH_DATA,
    FLASH_DEFL_BEGIN,
    FLASH_DEFL_DATA,
    FLASH_END,
    MEM_END,
    READ_FLASH,
    READ_REG,
    SPI_FLASH_MD5,
    SYNC,
    LineCutError,
    LoaderFaults,
    RomLoader,
)
from particle_harness.esp32.slip import Decoder, encode

SYNC_BODY = b"\x07\x07\x12\x20" + b"U" * 32


def loader(chip=None, **faults):
    chip = chip or VirtualEsp32()
    chip.reset(into_loader=True)
    return RomLoader(chip, LoaderFaults(**faults))


def request(command, body=b"", checksum=0):
    return encode(struct.pack("<BBHI", 0, command, len(body), checksum) + body)


def ask(rom, command, body=b"", checksum=0):
    (frame,) = Decoder().feed(rom.feed(request(command, body, checksum)))
    kind, answered, _, value = struct.unpack_from("<BBHI", frame)
    assert (kind, answered) == (1, command)
    return value, frame[8:]


def block(data, number=0):
    checksum = 0xEF
    for byte in data:
        checksum ^= byte
    return struct.pack("<IIII", len(data), number, 0, 0) + data, checksum


def write(rom, address, data):
    ask(rom, FLASH_BEGIN, struct.pack("<IIII", len(data), 1, len(data), address))
    return ask(rom, FLASH_DATA, *block(data))


def test_frames_byte_by_byte_and_at_once():
    frames = [b"\xc0\xdb\xdc\xdd", b"x", bytes(range(256))]
    stream = b"noise" + b"".join(map(encode, frames))
    decoder = Decoder()
    one_by_one = [f for byte in stream for f in decoder.feed(bytes([byte]))]
    assert one_by_one == Decoder().feed(stream) == frames


def test_eight_answers_to_sync_and_no_stub():
    frames = Decoder().feed(loader().feed(request(SYNC, SYNC_BODY)))
    assert len(frames) == 8
    assert all(f[4:8] != bytes(4) and f[8:] == bytes(4) for f in frames)


def test_registers_of_an_esp32():
    assert ask(loader(), READ_REG, struct.pack("<I", 0x40001000))[0] == 0x00F01D83


def test_a_started_program_in_ram_answers_as_the_stub_does():
    rom = loader()
    answer = rom.feed(request(MEM_END, struct.pack("<II", 0, 0x40080000)))
    assert Decoder().feed(answer)[-1] == b"OHAI"
    assert rom.chip.runs is Runs.STUB
    _, body = ask(rom, SPI_FLASH_MD5, struct.pack("<IIII", 0, 16, 0, 0))
    assert body == hashlib.md5(b"\xff" * 16).digest() + b"\0\0"
    frames = Decoder().feed(rom.feed(request(READ_FLASH, struct.pack("<IIII", 0x8000, 6000, 4096, 64))))
    assert [len(f) for f in frames] == [10, 4096]
    (rest,) = Decoder().feed(rom.feed(encode((4096).to_bytes(4, "little"))))
    (digest,) = Decoder().feed(rom.feed(encode((6000).to_bytes(4, "little"))))
    assert digest == hashlib.md5(frames[1] + rest).digest()


def test_flash_keeps_the_rules_of_nor():
    rom = loader()
    assert write(rom, 0x1000, b"\x0f" * 64)[1] == bytes(4)
    assert rom.chip.flash.read(0x1000, 65) == b"\x0f" * 64 + b"\xff"
    # Erased in whole sectors, by the next begin.
    write(rom, 0x1800, b"\xf0" * 64)
    assert rom.chip.flash.read(0x1000, 1) == b"\xff"


def test_deflated_data_and_more_than_was_said():
    rom, data = loader(), bytes(5000)
    packed = zlib.compress(data)
    ask(rom, FLASH_DEFL_BEGIN, struct.pack("<IIII", len(data), 1, len(packed), 0x3000))
    assert ask(rom, FLASH_DEFL_DATA, *block(packed))[1] == bytes(4)
    assert rom.chip.flash.read(0x3000, len(data)) == data
    ask(rom, FLASH_DEFL_BEGIN, struct.pack("<IIII", 100, 1, len(packed), 0x3000))
    assert ask(rom, FLASH_DEFL_DATA, *block(packed))[1][0] == 1


def test_what_is_refused():
    rom = loader()
    body, checksum = block(b"abcd")
    ask(rom, FLASH_BEGIN, struct.pack("<IIII", 4, 1, 4, 0))
    assert ask(rom, FLASH_DATA, body, checksum ^ 1)[1][:2] == b"\x01\x07"
    assert ask(rom, READ_FLASH, bytes(16))[1][:2] == b"\x01\x05", "a command of the stub alone"
    assert ask(rom, FLASH_BEGIN, struct.pack("<IIII", 4, 1, 4, 4 << 20))[1][0] == 1
    assert ask(loader(), FLASH_DATA, *block(b"abcd"))[1][0] == 1, "nothing was begun"


def test_faults():
    assert loader(no_sync=True).feed(request(SYNC, SYNC_BODY)) == b""
    rom = loader(drop_after_blocks=1)
    write(rom, 0, b"abcd")
    with pytest.raises(LineCutError):
        write(rom, 0, b"abcd")
    rom = loader(busy_blocks=1)
    assert write(rom, 0, b"abcd")[1][:2] == b"\x01\x06"
    assert write(rom, 0, b"abcd")[1][0] == 0
    rom = loader(silent_after_blocks=0)
    ask(rom, FLASH_BEGIN, struct.pack("<IIII", 4, 1, 4, 0))
    assert rom.feed(request(FLASH_DATA, *block(b"abcd"))) == b""
    rom = loader(refuse_stub=True)
    rom.feed(request(MEM_END, struct.pack("<II", 0, 0x40080000)))
    assert rom.feed(request(SYNC, SYNC_BODY)) == b""
    rom = loader(VirtualEsp32(faults=ChipFaults(worn_address=0x2001)))
    write(rom, 0x2000, b"\xff" * 8)
    assert rom.chip.flash.read(0x2000, 3) == b"\xff\xfe\xff"


def test_what_starts():
    chip = VirtualEsp32()
    assert chip.boots() == "ota_1"
    chip.flash.load(0x10000, b"\xff" * 0x1000)
    assert chip.boots() is None, "nothing is in ota_0"
    chip.flash.load(0x100000, esp_image(0x1000))
    chip.flash.load(0x11000, boot_choice(1))
    chip.reset(into_loader=False)
    assert (chip.boots(), chip.runs) == ("ota_0", Runs.APPLICATION)
    rom = RomLoader(chip)
    assert rom.feed(request(SYNC, SYNC_BODY)) == b"", "its application does not know the loader's protocol"
    chip.reset(into_loader=True)
    ask(rom, FLASH_END, struct.pack("<I", 0))
    assert chip.runs is Runs.APPLICATION
    blank = VirtualEsp32(blank=True)
    blank.reset(into_loader=False)
    assert blank.runs is Runs.NOTHING
