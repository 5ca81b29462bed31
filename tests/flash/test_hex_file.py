"""Restore files: read, written, refused; and parsed once for all the boards of a station."""

import intelhex
import pytest

from particle_dev.errors import FirmwareStoreError, FormatError
from particle_dev.flash.hex_file import read_hex, write_hex

PIECES = [(0, b"boot record" * 100), (0xF4000, b"bootloader" * 50), (0x10001014, b"\x00\x40\x0f\x00")]


@pytest.fixture
def file(tmp_path):
    write_hex(tmp_path / "board.hex", PIECES)
    return tmp_path / "board.hex"


def test_what_is_written_is_read(file):
    assert list(read_hex(file)) == PIECES


def test_a_file_is_parsed_once_for_all_boards(file, monkeypatch):
    """Hazard 14 of tests/transport/test_swd.py: half a second of the processor for each board."""
    parsed = []
    loadhex = intelhex.IntelHex.loadhex
    monkeypatch.setattr(intelhex.IntelHex, "loadhex", lambda self, text: (parsed.append(1), loadhex(self, text)))
    content = file.read_text()
    for _ in range(8):
        assert list(read_hex(file)) == PIECES
    assert len(parsed) <= 1
    # Another content under the same name is another file.
    write_hex(file.parent / "new.hex", [(0, b"other")])
    file.write_text((file.parent / "new.hex").read_text())
    assert list(read_hex(file)) == [(0, b"other")]
    assert file.read_text() != content


def test_no_file_is_replaced_and_overlaps_are_told(file):
    with pytest.raises(FirmwareStoreError, match="cannot write"):
        write_hex(file, PIECES)
    with pytest.raises(FormatError) as caught:
        write_hex(file.parent / "x.hex", [(0, b"12345"), (4, b"6")])
    assert caught.value.code == "overlap"
    assert not (file.parent / "x.hex").exists()


@pytest.mark.parametrize(
    ("text", "code"),
    [("hello\n", "no_hex"), (":00000001FF\n", "empty"), (":0100000001FE\n:0100000002FD\n:00000001FF\n", "overlap")],
)
def test_what_is_refused(tmp_path, text, code):
    (tmp_path / "x.hex").write_text(text)
    for _ in range(2):
        with pytest.raises(FormatError) as caught:
            read_hex(tmp_path / "x.hex")
        assert (caught.value.code, caught.value.file) == (code, str(tmp_path / "x.hex"))
        assert caught.value.message.startswith(str(tmp_path / "x.hex"))
