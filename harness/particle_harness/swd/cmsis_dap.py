"""A CMSIS-DAP v2 probe: packet in, packet out, over whatever carries packets.

Source: CMSIS-DAP 2.1 documentation (ARM-software/CMSIS-DAP), commands 0x00 to 0x1D and 0x7E, 0x7F.
"""

from __future__ import annotations

import socketserver
import struct
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from particle_harness.swd.chip import ProbedChip
from particle_harness.swd.claim import Claim
from particle_harness.swd.debug_port import DapFaultError, ProbeGoneError, WireError
from particle_harness.swd.wire_time import WireTime

PACKET_SIZE_BYTES = 1024
PACKET_COUNT = 8
_OK, _ERROR, _UNKNOWN_COMMAND = 0x00, 0xFF, 0xFF
_ACK_OK, _ACK_FAULT, _VALUE_MISMATCH = 1, 4, 0x10
_AP, _READ, _MATCH_VALUE, _MATCH_MASK = 0x01, 0x02, 0x10, 0x20
_NRESET = 0x80
_SWD = 1
_EXECUTE, _QUEUE = 0x7F, 0x7E


@dataclass(slots=True)
class CmsisDap:
    """One probe on ``chip``. ``packets`` counts. With ``time``, packets and transfers take it."""

    chip: ProbedChip
    serial_number: str = "V0000001"
    time: WireTime | None = None
    packets: int = 0
    _match_mask: int = 0xFFFFFFFF
    _match_retries: int = 0
    _reset_line_high: bool = True
    _commands: dict[int, Callable[[bytes], tuple[bytes, int]]] = field(init=False)

    @property
    def packet_size_bytes(self) -> int:
        """Largest packet."""
        return self.time.probe.packet_size_bytes if self.time is not None else PACKET_SIZE_BYTES

    def __post_init__(self) -> None:
        self._commands = {
            0x00: self._info,
            0x01: lambda _p: (bytes([_OK]), 3),
            0x02: lambda _p: (bytes([_SWD]), 2),
            0x03: lambda _p: (bytes([_OK]), 1),
            0x04: self._configure_transfer,
            0x05: self._transfer,
            0x06: self._transfer_block,
            0x08: self._write_abort,
            0x09: lambda _p: (bytes([_OK]), 3),
            0x0A: self._reset_target,
            0x10: self._pins,
            0x11: self._clock,
            0x12: self._sequence,
            0x13: lambda _p: (bytes([_OK]), 2),
            0x1D: self._swd_sequence,
        }

    def handle(self, packet: bytes) -> bytes:
        """The reply to one packet. Raises ProbeGoneError."""
        if self.chip.debug_port.probe_gone:
            raise ProbeGoneError
        self.packets += 1
        if self.time is not None:
            self.time.packet()
        with self.chip.lock:
            if packet[0] not in (_EXECUTE, _QUEUE):
                return self._command(packet)[0]
            replies, rest = bytes(packet[:2]), packet[2:]
            for _ in range(packet[1]):
                reply, used = self._command(rest)
                replies, rest = replies + reply, rest[used:]
            return replies

    def _command(self, packet: bytes) -> tuple[bytes, int]:
        """Reply, and how many bytes of the packet the command took."""
        command = self._commands.get(packet[0])
        if command is None:
            return bytes([_UNKNOWN_COMMAND]), len(packet)
        reply, used = command(packet)
        return packet[:1] + reply, used

    def _info(self, packet: bytes) -> tuple[bytes, int]:
        texts = {1: "particle-dev", 2: "Virtual CMSIS-DAP", 3: self.serial_number, 4: "2.1.0", 9: "1.0.0"}
        identifier = packet[1]
        if identifier in texts:
            text = texts[identifier].encode() + b"\0"
            return bytes([len(text)]) + text, 2
        # Capabilities: SWD and nothing else.
        values = {0xF0: b"\x01", 0xFE: bytes([PACKET_COUNT]), 0xFF: struct.pack("<H", self.packet_size_bytes)}
        value = values.get(identifier, b"")
        return bytes([len(value)]) + value, 2

    def _configure_transfer(self, packet: bytes) -> tuple[bytes, int]:
        (self._match_retries,) = struct.unpack_from("<H", packet, 4)
        return bytes([_OK]), 6

    def _write_abort(self, packet: bytes) -> tuple[bytes, int]:
        try:
            self.chip.debug_port.write_dp(0, struct.unpack_from("<I", packet, 2)[0])
        except DapFaultError:
            return bytes([_ERROR]), 6
        return bytes([_OK]), 6

    def _reset_target(self, _packet: bytes) -> tuple[bytes, int]:
        self.chip.pin_reset()
        return bytes([_OK, 1]), 1

    def _pins(self, packet: bytes) -> tuple[bytes, int]:
        output, selected = packet[1], packet[2]
        if selected & _NRESET:
            high = bool(output & _NRESET)
            if high and not self._reset_line_high:
                self.chip.pin_reset()
            self._reset_line_high = high
        return bytes([0x03 | (_NRESET if self._reset_line_high else 0)]), 7

    def _clock(self, packet: bytes) -> tuple[bytes, int]:
        self.chip.set_wire_clock(struct.unpack_from("<I", packet, 1)[0])
        return bytes([_OK]), 5

    def _sequence(self, packet: bytes) -> tuple[bytes, int]:
        bits = packet[1] or 256
        used = 2 + (bits + 7) // 8
        if bits >= 50 and packet[2:8] == b"\xff" * 6:
            self.chip.debug_port.line_reset()
        return bytes([_OK]), used

    def _swd_sequence(self, packet: bytes) -> tuple[bytes, int]:
        """Raw bits: taken, and answered by zeros where the host wants to hear the target."""
        offset, heard = 2, b""
        for _ in range(packet[1]):
            information = packet[offset]
            size_bytes = ((information & 0x3F or 64) + 7) // 8
            offset += 1
            if information & 0x80:
                heard += bytes(size_bytes)
            else:
                offset += size_bytes
        return bytes([_OK]) + heard, offset

    def _transfer(self, packet: bytes) -> tuple[bytes, int]:
        count, offset = packet[2], 3
        done, acknowledge, values = 0, _ACK_OK, []
        for _ in range(count):
            request = packet[offset]
            offset += 1
            word = 0
            if not request & _READ or request & _MATCH_VALUE:
                (word,) = struct.unpack_from("<I", packet, offset)
                offset += 4
            if acknowledge != _ACK_OK:
                continue
            try:
                value, acknowledge = self._one_transfer(request, word)
            except DapFaultError as error:
                acknowledge = _acknowledge(error)
                continue
            if acknowledge == _ACK_OK:
                done += 1
                values += [] if value is None else [value]
        return bytes([done, acknowledge]) + struct.pack(f"<{len(values)}I", *values), offset

    def _one_transfer(self, request: int, word: int) -> tuple[int | None, int]:
        """What was read, None when nothing was, and the acknowledge."""
        port, register = self.chip.debug_port, request & 0x0C
        if request & _READ:
            read = port.read_ap if request & _AP else port.read_dp
            value = read(register)
            if not request & _MATCH_VALUE:
                return value, _ACK_OK
            for _ in range(self._match_retries):
                if value & self._match_mask == word & self._match_mask:
                    break
                value = read(register)
            matches = value & self._match_mask == word & self._match_mask
            return None, _ACK_OK if matches else _ACK_OK | _VALUE_MISMATCH
        if request & _MATCH_MASK:
            self._match_mask = word
        elif request & _AP:
            port.write_ap(register, word)
        else:
            port.write_dp(register, word)
        return None, _ACK_OK

    def _transfer_block(self, packet: bytes) -> tuple[bytes, int]:
        count, request = struct.unpack_from("<HB", packet, 2)
        port, register = self.chip.debug_port, request & 0x0C
        used = 5 if request & _READ else 5 + 4 * count
        try:
            if request & _READ:
                if request & _AP:
                    values = port.read_ap_repeatedly(register, count)
                else:
                    values = [port.read_dp(register) for _ in range(count)]
                return struct.pack(f"<HB{count}I", count, _ACK_OK, *values), used
            written = struct.unpack_from(f"<{count}I", packet, 5)
            if request & _AP:
                port.write_ap_repeatedly(register, written)
            else:
                for word in written:
                    port.write_dp(register, word)
        except DapFaultError as error:
            return struct.pack("<HB", 0, _acknowledge(error)), used
        return struct.pack("<HB", count, _ACK_OK), used


def _acknowledge(error: DapFaultError) -> int:
    return error.acknowledge if isinstance(error, WireError) else _ACK_FAULT


_POLL_S = 0.02
"""How soon a server ends when it is told to."""
_SIGNATURE = 0x00504144
_HEADER = struct.Struct("<IHBB")
_REQUEST, _RESPONSE = 1, 2


class _Handler(socketserver.StreamRequestHandler):
    disable_nagle_algorithm = True
    server: CmsisDapServer

    def handle(self) -> None:
        if not self.server.claim.take(self):
            return
        try:
            self._serve()
        finally:
            self.server.claim.give_back(self)

    def _serve(self) -> None:
        while len(header := self.rfile.read(_HEADER.size)) == _HEADER.size:
            signature, size_bytes, kind, _ = _HEADER.unpack(header)
            if signature != _SIGNATURE or kind != _REQUEST:
                return
            try:
                reply = self.server.probe.handle(self.rfile.read(size_bytes))
                self.wfile.write(_HEADER.pack(_SIGNATURE, len(reply), _RESPONSE, 0) + reply)
            except (ConnectionError, ProbeGoneError):
                return


class CmsisDapServer(socketserver.ThreadingTCPServer):
    """A probe over TCP on loopback, as OpenOCD's ``cmsis-dap backend tcp`` speaks it. One client at a time; ``claim``:
    who has the probe, where it is served in other ways too. Use as a context manager.

    Frame: u32 signature, u16 length, u8 1 for a request and 2 for a response, u8 0, then the packet.
    Source: openocd master src/jtag/drivers/cmsis_dap_tcp.c.
    """

    allow_reuse_address = True
    daemon_threads = True

    def __init__(self, probe: CmsisDap, port: int = 0, *, claim: Claim | None = None) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.probe = probe
        self.claim = claim or Claim()
        self.port = int(self.server_address[1])

    def __enter__(self) -> CmsisDapServer:
        threading.Thread(target=self.serve_forever, args=(_POLL_S,), name="CMSIS-DAP server", daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.server_close()
