"""SLIP frames as the ROM loader of an ESP32 has them. Source: RFC 1055; esptool documentation, Serial Protocol."""

from __future__ import annotations

END, ESC, ESC_END, ESC_ESC = 0xC0, 0xDB, 0xDC, 0xDD
MAX_FRAME_BYTES = 1 << 17


def encode(frame: bytes) -> bytes:
    """The frame between two ends."""
    escaped = frame.replace(b"\xdb", b"\xdb\xdd").replace(b"\xc0", b"\xdb\xdc")
    return b"\xc0" + escaped + b"\xc0"


class Decoder:
    """Bytes in, whole frames out. What is between frames, empty or no valid escape is dropped."""

    def __init__(self) -> None:
        self._frame: bytearray | None = None

    def feed(self, data: bytes) -> list[bytes]:
        """The frames that ``data`` ends."""
        frames = []
        pieces = data.split(b"\xc0")
        for number, piece in enumerate(pieces):
            if self._frame is not None:
                self._frame += piece
                if len(self._frame) > MAX_FRAME_BYTES:
                    self._frame = None
            if number < len(pieces) - 1:
                if self._frame:
                    frame = bytes(self._frame).replace(b"\xdb\xdc", b"\xc0").replace(b"\xdb\xdd", b"\xdb")
                    frames.append(frame)
                # The end of one frame may be the start of the next one.
                self._frame = bytearray()
        return frames
