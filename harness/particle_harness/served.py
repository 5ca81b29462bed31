"""What servers and mocked buses need of a bench, be its boards modelled or emulated, and what hands do at it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from particle_harness.boards import Hardware
from particle_harness.nor_flash import NorFlash
from particle_harness.usb.bus_device import BoardOnBus, BusDevice

if TYPE_CHECKING:
    from particle_harness.probes import SlotProbe


class ServedState(Protocol):
    """What shows how a board does."""

    device_id: str
    powered: bool
    unplugged: bool
    runs: str


class ServedBoard(BoardOnBus, Protocol):
    """A board with a cable, a switch and a reset button."""

    @property
    def hardware(self) -> Hardware:
        """Its kind."""
        ...

    @property
    def internal(self) -> NorFlash:
        """The flash that modules run from."""
        ...

    @property
    def state(self) -> ServedState:
        """How it does."""
        ...

    def power_on(self) -> None:
        """Its supply comes."""
        ...

    def power_off(self) -> None:
        """Its supply goes."""
        ...

    def pull(self) -> None:
        """Its cable is pulled: it has no power, and no switch gives it any."""
        ...

    def plug_in(self) -> None:
        """Its cable returns; it boots, where the port has power."""
        ...

    def reset_pin(self) -> None:
        """Somebody presses its reset button."""
        ...


class ServedSlot(Protocol):
    """One place of a bench."""

    @property
    def name(self) -> str:
        """What people call it."""
        ...

    @property
    def port_path(self) -> str | None:
        """Its USB port."""
        ...

    @property
    def board(self) -> ServedBoard | None:
        """What is in it."""
        ...

    @property
    def probe(self) -> SlotProbe | None:
        """The debug probe on its board."""
        ...


class ServedBench(Protocol):
    """An open bench."""

    @property
    def slots(self) -> Sequence[ServedSlot]:
        """Its places."""
        ...

    @property
    def boards(self) -> Sequence[ServedBoard]:
        """What is in them."""
        ...

    @property
    def bus_devices(self) -> Sequence[BusDevice]:
        """Boards and debug probes on USB."""
        ...

    def close(self) -> None:
        """Give everything back."""
        ...


_ACTS: Mapping[str, Callable[[ServedBoard], None]] = {
    "unplug": lambda board: board.pull(),
    "plug": lambda board: board.plug_in(),
    "reset": lambda board: board.reset_pin(),
}


def answer(bench: ServedBench, request: Mapping[str, Any]) -> Mapping[str, Any]:
    """What a server says to ``{"do": "unplug", "slot": "1"}`` and the like: its boards, an error where there is one
    (with a hint, where the slot is not what is wrong), and a note where nothing was to do. A slot may be called by its
    name or its bus id."""
    if "do" in request:
        wanted, act = request.get("slot"), _ACTS.get(request["do"])
        slot = next((slot for slot in bench.slots if wanted in (slot.name, slot.port_path) and slot.board), None)
        if slot is None or slot.board is None:
            return {"error": f"there is no board in slot {wanted!r}", "boards": boards_of(bench)}
        if act is None:
            # A server older than its client, too, does not know an act.
            why = "is for a running station" if request["do"] == "next" else "is not known here"
            hint = "name a station whose bench has the option `hands`; `sim unplug`, `plug` and `reset` work here"
            return {"error": f"{request['do']} {why}", "hint": hint, "boards": boards_of(bench)}
        note = _nothing_to_do(slot.name, slot.board, request["do"])
        act(slot.board)
        return {"boards": boards_of(bench), **({"note": note} if note else {})}
    return {"boards": boards_of(bench)}


def _nothing_to_do(slot: str, board: ServedBoard, act: str) -> str | None:
    state = board.state
    if act == "plug" and not state.unplugged and state.powered:
        return f"the board in slot {slot} was plugged in already"
    if act == "unplug" and state.unplugged:
        return f"the board in slot {slot} was unplugged already"
    if act == "reset" and not state.powered:
        why = "was unplugged already" if state.unplugged else "has no power"
        return f"the board in slot {slot} {why}: nothing to reset"
    return None


def boards_of(bench: ServedBench) -> list[dict[str, object]]:
    """Slot, platform, device id, bus id, mode and debug probe of each board. ``mode`` is how the bus shows it, as
    `particle-dev list` does, None without power; ``runs`` what its processor does: ``app``, ``listening``, …;
    ``blank`` only for one in whose internal flash nothing is."""
    return [
        {
            "slot": slot.name,
            "platform": slot.board.hardware.name,
            "device_id": slot.board.state.device_id,
            "bus_id": slot.port_path,
            "mode": _bus_mode(slot.board) if slot.board.state.powered else None,
            "runs": slot.board.state.runs if slot.board.state.powered else None,
            **({"blank": True} if _is_blank(slot.board) else {}),
            **({"pyocd_probe": slot.probe.unique_id, "openocd_port": slot.probe.openocd_port} if slot.probe else {}),
        }
        for slot in bench.slots
        if slot.board
    ]


def _bus_mode(board: ServedBoard) -> str:
    return "dfu" if board.state.runs == "dfu" else "normal" if board.on_bus() else "off the bus"


def _is_blank(board: ServedBoard) -> bool:
    """Whether nothing is in its internal flash."""
    return board.internal.is_erased
