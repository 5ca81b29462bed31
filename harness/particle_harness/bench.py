"""The virtual bench: entry point ``virtual`` of the group ``particle_dev.benches``."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from particle_dev.errors import BenchError
from particle_harness import serial_port
from particle_harness.application import FEATURES, PROGRAM_PREFIX
from particle_harness.bench_slots import (
    DEVICE_ID,
    SWITCH,
    TEXT,
    TEXTS,
    PowerSwitch,
    board_in,
    check_options,
    check_values,
    close_slots,
    name_of,
    name_of_new,
    option_key,
    probe_id,
    refuse_blank_with_a_system,
    refuse_boards_of_others,
    refuse_unknown_options,
    slot_called,
    slot_folder,
    words,
)
from particle_harness.board import BoardSettings, VirtualBoard
from particle_harness.boards import Hardware, hardware
from particle_harness.clock import Clock, RealClock, VirtualClock
from particle_harness.cloud_side import CloudLink
from particle_harness.factory import known_release, release_stand_ins
from particle_harness.faults import parse_faults
from particle_harness.network_trouble import parse_troubles
from particle_harness.state import SlotStore
from particle_harness.state_lock import StateLock
from particle_harness.usb.addresses import Addresses
from particle_harness.usb.bus_device import BusDevice
from particle_harness.usb.pyusb_backend import VirtualBackend

if TYPE_CHECKING:
    from particle_harness.hands import Hands
    from particle_harness.probes import SlotProbe

DEFAULT_SLOTS: tuple[Mapping[str, Any], ...] = tuple(
    {"name": str(number), "platform": name}
    for number, name in enumerate(("boron", "bsom", "tracker", "photon"), start=1)
)
_CLOUD, _NETWORK_SCALE = "cloud", "network_scale"
_HANDS = "hands"
_OTHER_OPTIONS = (_CLOUD, _NETWORK_SCALE, _HANDS)
_OPTIONS = {"clock": words("virtual", "real"), "delays": words("realistic", "none"), "power_control": SWITCH}
_SLOT_KEYS = frozenset({
    "name", "platform", "device_id", "bootloader", "device_os", "faults", "connected", "factory", "arrives_in",
    "factory_image", "semi_automatic_apps", "protected", "service_mode", "blank", "probe", "silicon", "application",
    "battery", "network",
})  # fmt: skip
_SLOT_VALUES = {
    "platform": TEXT,
    "device_id": DEVICE_ID,
    "device_os": TEXT,
    "bootloader": words("release", "old"),
    "factory": words("new", "online"),
    "arrives_in": words("app", "dfu"),
    "silicon": words("AAD0", "AAF0"),
    **dict.fromkeys(("application", "network", "semi_automatic_apps"), TEXTS),
    **dict.fromkeys(("connected", "factory_image", "protected", "service_mode", "blank", "probe", "battery"), SWITCH),
}


class VirtualSlot:
    """One place on the bench. ``board`` is for tests and None in an empty slot."""

    def __init__(
        self,
        name: str,
        port_path: str,
        clock: Clock,
        board: VirtualBoard | None,
        power: bool,
        probe: SlotProbe | None,
        battery: bool | None = None,
        new_board: Callable[[Mapping[str, Any]], VirtualBoard] | None = None,
    ) -> None:
        self.new_board = new_board
        self.name = name
        self.port_path: str | None = port_path
        self.clock: Clock | None = clock
        self.board = board
        self.power = PowerSwitch(board) if board and power else None
        self.probe = probe
        self.battery = battery

    @property
    def platform(self) -> str | None:
        """What is in it."""
        return self.board.hardware.name if self.board else None

    @property
    def probe_id(self) -> str | None:
        """What pyOCD calls the debug probe of this slot."""
        return probe_id(self)


class VirtualBench:
    """A bench of virtual boards."""

    name = "virtual"

    def __init__(
        self, slots: Sequence[VirtualSlot], lock: StateLock | None = None, cloud: CloudLink | None = None
    ) -> None:
        self.slots = tuple(slots)
        self._cloud = cloud
        self._lock = lock
        self.hands: Hands | None = None
        self.boards = tuple(slot.board for slot in self.slots if slot.board)
        probes = tuple(slot.probe.usb for slot in self.slots if slot.probe)
        self.bus_devices: tuple[BusDevice, ...] = (*self.boards, *probes)
        """What is plugged into USB: boards, and the debug probes beside them."""
        self.usb_backend = VirtualBackend(self.boards)
        serial_port.register(self.boards)

    def serial_ports(self) -> Sequence[tuple[str, int, int, str]]:
        """Ports there are now: pyserial URL, vendor id, product id, USB serial number."""
        ports = []
        for board in self.boards:
            usb = board.hardware.platform.usb_normal
            if usb and board.on_bus() and board.state.runs != "dfu" and board.state.has_serial_port:
                ports.append((f"{serial_port.SCHEME}://{board.port_path}", usb.vid, usb.pid, board.state.device_id))
        return ports

    def slot(self, name: str) -> VirtualSlot:
        """The slot of that name. KeyError when there is none."""
        return slot_called(self.slots, name)

    def board(self, name: str) -> VirtualBoard:
        """The board in a slot, for tests. KeyError when the slot is empty or unknown."""
        return board_in(self.slots, name)

    def take_out(self, name: str) -> VirtualBoard:
        """Pull the board of a slot; it is returned, and comes back by :meth:`put_in`. KeyError: the slot is empty."""
        board = self.board(name)
        board.pull()
        return board

    def put_in(self, name: str, new: VirtualBoard | Mapping[str, Any]) -> VirtualBoard:
        """Plug a board into a slot in place of the one that is there, which is pulled: one that was there before, or a
        new one of such a table as the bench's ``slots`` are. In a slot whose power is switched it boots when that is
        on."""
        slot = self.slot(name)
        if slot.new_board is None:
            raise BenchError(f"slot {name!r} was made without boards", slot=name, hint="open the bench by its driver")
        if slot.board is not None:
            slot.board.pull()
            serial_port.unregister((slot.board,))
        board = new if isinstance(new, VirtualBoard) else slot.new_board(new)
        slot.board = board
        if slot.power is not None:
            slot.power.board = board
        self.boards = tuple(s.board for s in self.slots if s.board)
        serial_port.register((board,))
        self.usb_backend.boards = self.boards
        if slot.power is None:
            board.plug_in()
        else:
            board.power_off()
        return board

    def close(self) -> None:
        """Take serial ports and probes away. Boards keep their state in the state folder, if there is one."""
        if self.hands is not None:
            self.hands.close()
        close_slots(self.slots)
        if self._cloud is not None:
            self._cloud.close()
        if self._lock is not None:
            self._lock.release()


def open_bench(
    *,
    options: Mapping[str, Any],
    slots: Sequence[Mapping[str, Any]],
    state_dir: Path | None,
    factory_modules: Callable[[str], Sequence[bytes]],
) -> VirtualBench:
    """Build the bench, or take it up again from ``state_dir``.

    ``options``: ``clock`` "real" (default) or "virtual"; ``delays`` "realistic" (default) or "none"; ``power_control``
    true or false; ``network_scale``: a number, by which the assumed times of radio and network are multiplied (1);
    ``cloud``: the simulated cloud that boards reach, a ``SimCloud`` or what ``particle-dev sim cloud`` prints;
    ``hands``: a port of loopback at which ``particle-dev sim unplug``, ``plug``, ``reset``, ``next`` reach the boards.

    ``slots``: tables with ``name``, ``platform`` and optionally ``device_id``, ``bootloader`` ("release",
    "old"), ``device_os`` (a release whose stand-ins new boards have), ``faults``, ``connected``, ``factory`` ("new",
    "online"), ``arrives_in`` ("app", "dfu"), ``factory_image``, ``protected`` and ``service_mode`` (true: the board has
    device protection, in the second case opened for service), ``application`` (what it can do, of
    ``application.FEATURES``, or "program:COMMAND": see application), ``semi_automatic_apps`` (SHA-256 of module files),
    ``blank`` (true: nothing was ever programmed), ``probe`` (true: a debug probe is connected; needs the emulator),
    ``silicon`` (build code of an nRF52840: "AAD0", or "AAF0" with hardened protection); ``battery`` (what the bench
    says of one; these boards have none); ``network`` (what is wrong with the way to the network, of
    ``network_trouble.TROUBLES``); default: a Boron, a B-SoM, a Tracker and a Photon.
    ``factory_modules(platform)`` gives bootloader and SoftDevice that new boards leave the factory with. Raises
    BenchError for an option, key or word that means nothing here, and when another process has the boards of
    ``state_dir`` open.
    """
    refuse_unknown_options(options, {*_OPTIONS, *_OTHER_OPTIONS})
    check_options(options, _OPTIONS)
    _network_scale(options)
    lock = StateLock(state_dir, takes_over=True) if state_dir else None
    cloud = None
    try:
        if state_dir is not None:
            tables = enumerate(slots or DEFAULT_SLOTS, start=1)
            refuse_boards_of_others("virtual", state_dir, (name_of(table, number) for number, table in tables))
        cloud = _cloud_link(options)
        bench = VirtualBench(_build(options, slots, state_dir, factory_modules, cloud), lock, cloud)
        bench.hands = _hands(bench, options)
        return bench
    except BaseException:
        if cloud is not None:
            cloud.close()
        if lock is not None:
            lock.release()
        raise


def _build(
    options: Mapping[str, Any],
    slots: Sequence[Mapping[str, Any]],
    state_dir: Path | None,
    factory_modules: Callable[[str], Sequence[bytes]],
    cloud: CloudLink | None,
) -> list[VirtualSlot]:
    is_virtual = options.get("clock", "real") == "virtual"
    delays = options.get("delays", "realistic") == "realistic"
    power_control = bool(options.get("power_control", True))
    addresses = Addresses()
    built: list[VirtualSlot] = []
    for number, table in enumerate(slots or DEFAULT_SLOTS, start=1):
        name = name_of_new(table, number, built)
        _check_slot(name, table)
        store = SlotStore(slot_folder(state_dir, name)) if state_dir else None
        kept = store.load() if store else None
        start_s = kept[0].clock_s if kept else 0.0
        clock: Clock = VirtualClock(start_s) if is_virtual else RealClock(start_s)
        port_path = f"1-{number}"
        same = (name, clock, port_path, delays, power_control, factory_modules, addresses, cloud)
        make = partial(_new_board, *same, _network_scale(options))
        board = None
        if table.get("connected", True):
            if kept:
                addresses.seen(port_path, kept[0].address)
            board = make(store, table)
        probe = _probe(name, board, number) if table.get("probe") and board else None
        new_board = partial(make, None)
        built.append(VirtualSlot(name, port_path, clock, board, power_control, probe, table.get("battery"), new_board))
    return built


def _network_scale(options: Mapping[str, Any]) -> float:
    scale = options.get(_NETWORK_SCALE, 1)
    if isinstance(scale, bool) or not isinstance(scale, int | float) or not 0 < scale <= 1:
        raise BenchError(
            f"option network_scale = {scale!r} is no number above 0 and not above 1",
            key=option_key(_NETWORK_SCALE),
            hint="correct it, or leave it out",
        )
    return float(scale)


def _hands(bench: VirtualBench, options: Mapping[str, Any]) -> Hands | None:
    port = options.get(_HANDS)
    if port is None:
        return None
    if isinstance(port, bool) or not isinstance(port, int) or not 0 <= port < 1 << 16:
        raise BenchError(
            f"option hands = {port!r} is no port",
            key=option_key(_HANDS),
            hint="give a number such as 3240, or leave it out",
        )
    # It brings the server of USB/IP along, which most benches do without.
    from particle_harness.hands import Hands  # noqa: PLC0415

    return Hands(bench, port)


def _cloud_link(options: Mapping[str, Any]) -> CloudLink | None:
    if _CLOUD not in options:
        return None
    # Benches without a cloud do not pay for one.
    from particle_harness.cloud.links import link_to  # noqa: PLC0415

    return link_to(options[_CLOUD])


def _new_board(
    name: str,
    clock: Clock,
    port_path: str,
    delays: bool,
    power_control: bool,
    factory_modules: Callable[[str], Sequence[bytes]],
    addresses: Addresses,
    cloud: CloudLink | None,
    network_scale: float,
    store: SlotStore | None,
    table: Mapping[str, Any],
) -> VirtualBoard:
    try:
        kind = hardware(str(table["platform"]))
        faults = parse_faults(table.get("faults", ()))
        network = parse_troubles(table.get("network", ()))
        if "device_os" in table:
            known_release(table["device_os"])
    except ValueError as error:
        raise BenchError(f"slot {name!r}: {error}", slot=name, hint="correct the slot in the bench file") from error
    settings = BoardSettings(
        device_id=str(table.get("device_id") or default_device_id(kind, name)),
        online=table.get("factory") == "online",
        arrives_in_dfu=table.get("arrives_in") == "dfu",
        old_bootloader=table.get("bootloader") == "old",
        device_os=table.get("device_os"),
        factory_image=bool(table.get("factory_image", False)),
        power_control=power_control,
        protected=bool(table.get("protected", False)),
        service_mode=bool(table.get("service_mode", False)),
        application=frozenset(table.get("application", ())),
        semi_automatic_apps=frozenset(table.get("semi_automatic_apps", ())),
        blank=bool(table.get("blank", False)),
        silicon=str(table.get("silicon", "AAD0")),
        faults=faults,
        network=network,
        network_scale=network_scale,
    )
    return VirtualBoard(
        kind,
        settings,
        clock,
        port_path=port_path,
        delays=delays,
        release_modules=lambda: _release_modules(kind, factory_modules),
        next_address=lambda: addresses.next(port_path),
        store=store,
        cloud=cloud,
    )


def _probe(name: str, board: VirtualBoard, number: int) -> SlotProbe:
    try:
        # Boards without a probe need no emulator.
        from particle_harness.probes import SlotProbe  # noqa: PLC0415

        return SlotProbe(board.chip, board.state.device_id, number)
    except ImportError as error:
        raise BenchError(
            f"slot {name!r} has a debug probe, and the emulator is not installed: {error}",
            slot=name,
            hint="pip install 'particle-dev[emulator]'",
        ) from error


def _release_modules(kind: Hardware, factory_modules: Callable[[str], Sequence[bytes]]) -> Sequence[bytes]:
    """What ``factory_modules`` gives. Stand-ins will do where that is nothing, or nobody publishes a bootloader:
    without one nothing starts."""
    try:
        return factory_modules(kind.name) or release_stand_ins(kind)
    except BenchError:
        if kind.is_published:
            raise
        return release_stand_ins(kind)


def default_device_id(kind: Hardware, slot_name: str) -> str:
    """24 hex digits, the same for the same slot at any time."""
    digits = hashlib.sha256(f"{kind.name} in slot {slot_name}".encode()).hexdigest()
    return (kind.layout.device_id_prefix + digits)[:24]


def _check_slot(name: str, table: Mapping[str, Any]) -> None:
    if unknown := set(table) - _SLOT_KEYS:
        raise BenchError(
            f"slot {name!r} has unknown keys {sorted(unknown)}", slot=name, hint=f"known: {sorted(_SLOT_KEYS)}"
        )
    check_values(name, table, _SLOT_VALUES)
    if "platform" not in table and table.get("connected", True):
        raise BenchError(f"slot {name!r} names no platform", slot=name, hint='add platform = "boron"')
    refuse_blank_with_a_system(name, table)
    features = {f for f in table.get("application", ()) if not f.startswith(PROGRAM_PREFIX)}
    if unknown := features - set(FEATURES):
        raise BenchError(
            f"slot {name!r}: no application can do {sorted(unknown)}",
            slot=name,
            hint=f"known: {list(FEATURES)}, and {PROGRAM_PREFIX}COMMAND",
        )
