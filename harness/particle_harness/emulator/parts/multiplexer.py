"""The modem's end of a multiplexed serial line, basic option.

Source: 3GPP TS 27.010, 5.2 (frames), 5.4.6.3 (messages of the control channel).
"""

from __future__ import annotations

_FLAG = 0xF9
_SABM, _UA, _DISC, _UIH = 0x2F, 0x63, 0x43, 0xEF
_POLL = 0x10
_COMMAND = 2
_CLOSE_DOWN = 0xC1
_CRC_POLYNOMIAL = 0xE0


class Multiplexer:
    """Says yes to every channel and every message. ``closed``: the other end has ended it."""

    def __init__(self) -> None:
        self.closed = False
        self.channels: set[int] = set()
        self._buffer = bytearray()
        self._answers = bytearray()

    def take(self, data: bytes) -> list[tuple[int, bytes]]:
        """What arrived on each channel but the control channel."""
        self._buffer += data
        arrived: list[tuple[int, bytes]] = []
        while (frame := self._next_frame()) is not None:
            address, control, payload = frame
            channel = address >> 2
            if control & ~_POLL in (_SABM, _DISC):
                self._switch(channel, control & ~_POLL == _SABM)
                self._answers += _frame(address, _UA | _POLL, b"")
            elif channel == 0:
                self._obey(payload)
            elif control & ~_POLL == _UIH:
                arrived.append((channel, payload))
        return arrived

    def answers(self) -> bytes:
        """Frames that the multiplexer itself sends back."""
        answers = bytes(self._answers)
        self._answers.clear()
        return answers

    def frame(self, channel: int, data: bytes) -> bytes:
        """Data from the modem on a channel."""
        return b"".join(_frame(channel << 2 | 1, _UIH, data[at : at + 64]) for at in range(0, len(data), 64))

    def _switch(self, channel: int, opens: bool) -> None:
        if opens:
            self.channels.add(channel)
        else:
            self.channels.discard(channel)
            self.closed = self.closed or channel == 0

    def _obey(self, message: bytes) -> None:
        """A message comes back as its answer: the same without the command bit."""
        if not message or not message[0] & _COMMAND:
            return
        self.closed = self.closed or message[0] & ~_COMMAND == _CLOSE_DOWN
        self._answers += _frame(1, _UIH, bytes((message[0] & ~_COMMAND, *message[1:])))

    def _next_frame(self) -> tuple[int, int, bytes] | None:
        """Address, control, payload of the next whole frame; what is damaged is skipped."""
        while True:
            start = self._buffer.find(_FLAG)
            if start < 0:
                self._buffer.clear()
                return None
            del self._buffer[:start]
            while len(self._buffer) > 1 and self._buffer[1] == _FLAG:
                del self._buffer[0]
            if len(self._buffer) < 6:
                return None
            header = 4 if self._buffer[3] & 1 else 5
            length = self._buffer[3] >> 1 | (self._buffer[4] << 7 if header == 5 else 0)
            if len(self._buffer) < header + length + 2:
                return None
            frame = bytes(self._buffer[1 : header + length + 2])
            if frame[-1] == _FLAG and frame[-2] == _check(frame[: header - 1]):
                del self._buffer[: header + length + 1]
                return frame[0], frame[1], frame[header - 1 : -2]
            del self._buffer[0]


def _frame(address: int, control: int, payload: bytes) -> bytes:
    header = bytes((address, control, len(payload) << 1 | 1))
    return bytes((_FLAG, *header, *payload, _check(header), _FLAG))


def _check(header: bytes) -> int:
    """Frame check sequence, of the header alone in UIH frames."""
    crc = 0xFF
    for byte in header:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (_CRC_POLYNOMIAL if crc & 1 else 0)
    return 0xFF - crc
