"""Everything that a chip is at one moment, as bytes: to go on from there later, again and again.

What belongs to a chip is found by following the attributes of its object. *Parts* are the emulator's own objects; their
state is what their attributes hold: values, containers of them, alarms, references to parts and wiring. *Wiring* is
only referred to: the bus, flash objects, interrupt lines, whatever else the harness lends. RAM is part of a snapshot;
memories with rules of their own (flash, UICR, FICR) outlive the chip's power by themselves, and a snapshot only tells
whether they are still what they were. Hooks (attributes that begin with ``on_``) and what a class lists as ``unsaved``
stay as they are. A part with methods ``saved_state`` and ``load_state`` says itself what to keep.

A snapshot is data: reading one builds values of the harness's own classes and calls nothing else.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import io
import json
import pickle
import random
import zlib
from collections import deque
from collections.abc import Iterable, Mapping
from enum import Enum
from mmap import mmap
from types import MethodType
from typing import Any, Protocol

from particle_harness.emulator.core.processor import Processor
from particle_harness.emulator.peripherals.registers import RegisterBlock
from particle_harness.nor_flash import NorFlash
from particle_harness.swd.bus import Bus, Memory

MAGIC = b"particle-dev emulator snapshot\n"
FORMAT = 2
"""1 named classes by where they were before the emulator had packages."""
_DIGEST_BYTES = 32
_PACKAGE = "particle_harness."
_EMULATOR = "particle_harness.emulator."
_ATOMS = (int, float, str, bytes, bytearray, mmap, Enum, type, type(None))
_FOREIGN = {
    ("collections", "deque"): deque,
    ("functools", "partial"): functools.partial,
    ("random", "Random"): random.Random,
    **{("builtins", kind.__name__): kind for kind in (bytearray, set, frozenset, range, slice)},
}


class SnapshotError(ValueError):
    """The snapshot does not fit this chip, or something of it cannot be kept."""


class SnapshotChip(Protocol):
    """What has snapshots."""

    @property
    def processor(self) -> Processor:
        """Its core."""
        ...

    @property
    def bus(self) -> Bus:
        """Its bus."""
        ...


class Snapshots:
    """Takes and restores snapshots of ``chip``, whose firmware must stand still. ``kind`` tells chips apart.

    What is found then must not change: a chip to which something is attached later gets new Snapshots.
    """

    def __init__(self, kind: str, chip: SnapshotChip) -> None:
        self.kind = kind
        self._bus = chip.bus
        found = _Search(chip)
        self._parts = found.parts
        self._memories = {_name_of(memory): memory for memory in chip.bus.memories if memory.store is None}
        kept = {_name_of(memory): memory.cells for memory in chip.bus.memories if memory.store is not None}
        self._kept = kept | {f"flash {path}": flash.cells for path, flash in found.flashes.items()}
        buffers = {name: memory.cells for name, memory in self._memories.items()} | self._kept
        self._named = {**found.wiring, **buffers, **found.parts}
        self._names = {id(thing): name for name, thing in self._named.items()}

    def take(self) -> bytes:
        """The chip as it is. Raises SnapshotError for state that cannot be kept."""
        state = {name: _state_of(part) for name, part in self._parts.items()}
        contents = {name: bytes(memory.view) for name, memory in self._memories.items()}
        payload = io.BytesIO()
        try:
            _Pickler(payload, self._names).dump((state, contents))
        except (TypeError, AttributeError, pickle.PicklingError) as error:
            raise SnapshotError(f"{self._culprit(state)} cannot be kept in a snapshot: {error}") from error
        return self._sealed(zlib.compress(payload.getvalue(), 1))

    def restore(self, snapshot: bytes) -> None:
        """Go on from there. Raises SnapshotError, and changes nothing, for a snapshot of another chip, of other
        contents of flash, or of another version of the emulator."""
        try:
            state, contents = _Unpickler(io.BytesIO(zlib.decompress(self._opened(snapshot))), self._named).load()
        except (pickle.UnpicklingError, AttributeError, TypeError, KeyError, zlib.error) as error:
            raise SnapshotError(f"the snapshot is of another version of the emulator: {error}") from error
        self._check_shape(state, contents)
        for name, part in self._parts.items():
            _load(part, state[name])
        for name, memory in self._memories.items():
            memory.view[:] = contents[name]
        self._bus.code_changed = True

    # ---- the envelope -----------------------------------------------------------------------------------------------

    def _sealed(self, payload: bytes) -> bytes:
        kept = {name: _digest(cells).hex() for name, cells in self._kept.items()}
        header = json.dumps({"format": FORMAT, "kind": self.kind, "kept": kept}, sort_keys=True).encode() + b"\n"
        return MAGIC + _digest(header + payload) + header + payload

    def _opened(self, snapshot: bytes) -> bytes:
        digest, rest = snapshot[len(MAGIC) :][:_DIGEST_BYTES], snapshot[len(MAGIC) + _DIGEST_BYTES :]
        if not snapshot.startswith(MAGIC) or digest != _digest(rest):
            raise SnapshotError("this is no snapshot of an emulated chip, or it is damaged")
        line, _, payload = rest.partition(b"\n")
        header = json.loads(line)
        if header["format"] != FORMAT:
            raise SnapshotError(f"the snapshot has format {header['format']}, and this emulator reads {FORMAT}")
        if header["kind"] != self.kind:
            raise SnapshotError(f"the snapshot is of a {header['kind']}, and this is a {self.kind}")
        for name, cells in self._kept.items():
            if header["kept"].get(name) != _digest(cells).hex():
                raise SnapshotError(f"the snapshot was taken with other contents of the {name}")
        return payload

    # ---- parts ------------------------------------------------------------------------------------------------------

    def _culprit(self, state: Mapping[str, Mapping[str, object]]) -> str:
        for name, attributes in state.items():
            for attribute, value in attributes.items():
                try:
                    _Pickler(io.BytesIO(), self._names).dump(value)
                except (TypeError, AttributeError, pickle.PicklingError):
                    return f"{name}.{attribute}"
        return "the chip"

    def _check_shape(self, state: Mapping[str, Mapping[str, Any]], contents: Mapping[str, bytes]) -> None:
        if state.keys() != self._parts.keys() or contents.keys() != self._memories.keys():
            raise SnapshotError("the snapshot is of another version of the emulator: it has other parts")
        for name, part in self._parts.items():
            if (here := _state_of(part).keys()) != state[name].keys():
                other = ", ".join(sorted(here ^ state[name].keys()))
                raise SnapshotError(f"the snapshot is of another version of the emulator: {name} differs in {other}")


class _Search:
    """Parts, wiring and flash reachable from a chip, each by the path to it. Alarms and callbacks are no paths: they
    come and go."""

    def __init__(self, chip: SnapshotChip) -> None:
        self.parts: dict[str, object] = {}
        self.wiring: dict[str, object] = {"bus": chip.bus}
        self.flashes: dict[str, NorFlash] = {}
        for line in chip.processor.exceptions.lines:
            self.wiring[f"interrupt line {line.number}"] = line
        cells = {id(memory.cells) for memory in chip.bus.memories}
        self._seen = cells | {id(thing) for thing in self.wiring.values()}
        self._kept_alive: list[object] = []
        self._add_part("chip", chip)

    def _add_part(self, path: str, part: object) -> None:
        self.parts[path] = part
        if not hasattr(part, "saved_state"):
            for name, value in _state_of(part).items():
                self._visit(f"{path}.{name}", value)

    def _visit(self, path: str, thing: Any) -> None:
        if id(thing) in self._seen or isinstance(thing, _ATOMS):
            return
        self._seen.add(id(thing))
        self._kept_alive.append(thing)
        kind = type(thing)
        if isinstance(thing, Mapping):
            self._visit_all(path, thing.values())
        elif isinstance(thing, (list, tuple, set, frozenset, deque)):
            self._visit_all(path, thing)
        elif isinstance(thing, NorFlash):
            self.wiring[path] = self.flashes[path] = thing
        elif isinstance(thing, RegisterBlock) or (kind.__module__.startswith(_EMULATOR) and not _is_value(kind)):
            self._add_part(path, thing)
        elif kind.__module__.startswith(_PACKAGE) and not _is_value(kind):
            self.wiring[path] = thing

    def _visit_all(self, path: str, things: Iterable[object]) -> None:
        for number, thing in enumerate(things):
            self._visit(f"{path}[{number}]", thing)


def _name_of(memory: Memory) -> str:
    return f"memory at 0x{memory.start_address:08X}"


def _state_of(part: object) -> dict[str, Any]:
    saved = getattr(part, "saved_state", None)
    if saved is not None:
        return dict(saved())
    unsaved: frozenset[str] = getattr(part, "unsaved", frozenset())
    return {name: value for name, value in vars(part).items() if name not in unsaved and not name.startswith("on_")}


def _load(part: object, state: dict[str, Any]) -> None:
    load = getattr(part, "load_state", None)
    if load is not None:
        load(state)
    else:
        vars(part).update(state)


def _digest(data: bytes | bytearray | mmap) -> bytes:
    return hashlib.blake2b(data, digest_size=_DIGEST_BYTES).digest()


def _bound(thing: object, name: str) -> Any:
    return getattr(thing, name)


class _Pickler(pickle.Pickler):
    """Writes named objects by their name."""

    def __init__(self, file: io.BytesIO, names: Mapping[int, str]) -> None:
        super().__init__(file, protocol=5)
        self._names = names

    def persistent_id(self, thing: object) -> str | None:
        return self._names.get(id(thing))

    def reducer_override(self, thing: Any) -> Any:
        if isinstance(thing, MethodType):
            if id(thing.__self__) not in self._names:
                raise TypeError(f"{thing.__qualname__} is a method of something that is no part of the chip")
            return _bound, (thing.__self__, thing.__func__.__name__)
        if thing is _bound or isinstance(thing, type) or _is_value(type(thing)):
            return NotImplemented
        raise TypeError(f"{type(thing).__qualname__} is no value")


class _Unpickler(pickle.Unpickler):
    """Builds values and nothing else."""

    def __init__(self, file: io.BytesIO, named: Mapping[str, object]) -> None:
        super().__init__(file)
        self._named = named
        self._parts = {id(thing) for thing in named.values()}

    def persistent_load(self, name: str) -> object:
        return self._named[name]

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in _FOREIGN:
            return _FOREIGN[module, name]
        if (module, name) == (__name__, _bound.__name__):
            return self._method
        if module.startswith(_PACKAGE):
            kind = super().find_class(module, name)
            if isinstance(kind, type) and _is_value(kind):
                return kind
        raise pickle.UnpicklingError(f"{module}.{name} is no value of the emulator")

    def _method(self, thing: object, name: str) -> MethodType:
        method = getattr(thing, name, None)
        if not isinstance(method, MethodType) or name.startswith("__") or id(thing) not in self._parts:
            raise pickle.UnpicklingError(f"{name} is no method of a part")
        return method


def _is_value(kind: type) -> bool:
    if kind in _FOREIGN.values():
        return True
    if not kind.__module__.startswith(_PACKAGE) or kind is Memory:
        return False
    return dataclasses.is_dataclass(kind) or issubclass(kind, Enum)
