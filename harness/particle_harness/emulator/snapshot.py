"""Everything that a chip is at one moment, as bytes: to go on from there later, again and again.

Objects of a chip are of three kinds. *Parts* have state, which is what their attributes hold: values, containers of
them, alarms, and references to other named objects. *Wiring* has none worth keeping and is only referred to. *Kept*
memories outlive the chip's power by themselves (flash, UICR): a snapshot holds no copy of them, only what tells whether
they are still what they were. Hooks (attributes that begin with ``on_``) and what a class lists as ``unsaved`` stay as
they are. A part with methods ``saved_state`` and ``load_state`` says itself what to keep.

A snapshot is data: reading one builds values of the emulator's own classes and calls nothing else.
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
from collections.abc import Mapping
from enum import Enum
from mmap import mmap
from types import MethodType
from typing import Any

from particle_harness.emulator.processor import Processor
from particle_harness.swd.bus import Bus, Memory

MAGIC = b"particle-dev emulator snapshot\n"
FORMAT = 1
_DIGEST_BYTES = 32
_PACKAGE = "particle_harness.emulator."
_FOREIGN = {
    ("collections", "deque"): deque,
    ("functools", "partial"): functools.partial,
    ("random", "Random"): random.Random,
    **{("builtins", kind.__name__): kind for kind in (bytearray, set, frozenset, range, slice)},
}


class SnapshotError(ValueError):
    """The snapshot does not fit this chip, or something of it cannot be kept."""


class Snapshots:
    """Takes and restores snapshots of one chip. ``kind`` tells chips apart; ``memories`` are restored in place."""

    def __init__(
        self,
        kind: str,
        bus: Bus,
        parts: Mapping[str, object],
        wiring: Mapping[str, object],
        memories: Mapping[str, Memory],
        kept: Mapping[str, bytearray | mmap],
    ) -> None:
        self.kind = kind
        self._bus = bus
        self._parts = parts
        self._memories = memories
        self._kept = kept
        buffers = {name: memory.cells for name, memory in memories.items()} | dict(kept)
        self._named = {**wiring, **buffers, **parts}
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


def parts_of(processor: Processor) -> dict[str, object]:
    """The parts of a core, and of what it needs to run."""
    return {
        "processor": processor,
        "core": processor.native,
        "exception unit": processor.unit,
        "exceptions": processor.exceptions,
        "fault status": processor.unit.status,
        "SysTick": processor.systick,
        "system control space": processor.control_space,
        "cycle counter": processor.cycle_counter,
        "timeline": processor.timeline,
    }


def wiring_of(processor: Processor) -> dict[str, object]:
    """What the parts refer to: the bus and its interrupt lines."""
    lines = {f"interrupt line {line.number}": line for line in processor.exceptions.lines}
    return {"bus": processor.bus, **lines}


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
    return kind.__module__.startswith(_PACKAGE) and (dataclasses.is_dataclass(kind) or issubclass(kind, Enum))
