"""What people write to mean one board: ``--device SELECTOR``.

A selector is one or more terms with commas between them, and all of them must hold: ``platform:boron,mode:dfu``.

=================  ==================================================================================
``id:TEXT``        Device ID, or at least four of its first digits
``name:TEXT``      a name that the file of device names gives to a Device ID
``platform:TEXT``  platform by name (``bsom``), other name (``photon2``) or full name (``Asset Tracker``)
``mode:TEXT``      ``normal`` or ``dfu``: how it shows itself on the bus
``port:TEXT``      USB port as ``particle-dev list`` shows it: ``1-2.3``
``slot:TEXT``      slot of the bench file
``serial:TEXT``    USB serial number, or the serial number on the board's label, which is asked of the boards
                   that the other terms leave, in normal mode only
``glob:TEXT``      ``*``, ``?`` and ``[…]`` over Device ID, USB serial number and port
``TEXT``           any of these but slot and label; with ``*``, ``?`` or ``[`` a glob
=================  ==================================================================================

Case does not matter. A selector never chooses between boards: it fits exactly one, or an error lists the candidates.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from fnmatch import fnmatchcase

from particle_dev.catalog.platforms import UsbMode, platform_by_name
from particle_dev.device.model import Device
from particle_dev.errors import DeviceAmbiguousError, DeviceNotFoundError

MIN_ID_DIGITS = 4
"""Fewer digits say nothing: all boards of a generation begin alike."""
_GLOB = re.compile(r"[*?\[]")
_ID_DIGITS = re.compile(rf"[0-9a-f]{{{MIN_ID_DIGITS},24}}")
LabelReader = Callable[[Device], str | None]
"""Asks a board for the serial number on its label; None when it has none or cannot be asked."""


class Kind(StrEnum):
    """Kinds of terms; ANY is a term without a kind."""

    ID = "id"
    NAME = "name"
    PLATFORM = "platform"
    MODE = "mode"
    PORT = "port"
    SLOT = "slot"
    SERIAL = "serial"
    GLOB = "glob"
    ANY = ""


@dataclass(frozen=True, slots=True)
class Known:
    """What only this computer knows of boards, by lower-case text: Device IDs by ``names``, USB ports by ``slots``."""

    names: Mapping[str, str]
    slots: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Term:
    """One condition; ``text`` is in lower case."""

    kind: Kind
    text: str

    def fits(self, device: Device, known: Known) -> bool:
        """Whether the condition holds, as far as the bus tells."""
        if self.kind is Kind.ANY:
            if _GLOB.search(self.text):
                return _FITS[Kind.GLOB](self.text, device, known)
            return any(fits(self.text, device, known) for kind, fits in _FITS.items() if kind not in _ONLY_BY_KIND)
        return _FITS[self.kind](self.text, device, known)


# Slots are called 1, 2, 3, or after the platform that belongs there: without the kind nobody could tell what is meant.
_ONLY_BY_KIND = (Kind.GLOB, Kind.SLOT)
_FITS: Mapping[Kind, Callable[[str, Device, Known], bool]] = {
    Kind.ID: lambda text, device, _: bool(_ID_DIGITS.fullmatch(text)) and device.device_id.startswith(text),
    Kind.NAME: lambda text, device, known: bool(device.device_id) and known.names.get(text) == device.device_id,
    Kind.PLATFORM: lambda text, device, _: (
        platform_by_name(text) is device.platform or text == device.platform.display_name.lower()
    ),
    Kind.MODE: lambda text, device, _: text == device.mode,
    Kind.PORT: lambda text, device, _: text == device.usb.port_path,
    Kind.SLOT: lambda text, device, known: known.slots.get(text) == device.usb.port_path,
    Kind.SERIAL: lambda text, device, _: text == device.usb.serial_number,
    Kind.GLOB: lambda text, device, _: any(
        fnmatchcase(value, text) for value in (device.device_id, device.usb.serial_number, device.usb.port_path)
    ),
}


@dataclass(frozen=True, slots=True)
class Selector:
    """A selector that was read; ``text`` is what was written."""

    text: str
    terms: tuple[Term, ...]
    known: Known

    def matches(self, devices: Iterable[Device], label_of: LabelReader | None = None) -> tuple[Device, ...]:
        """Devices that fit. ``label_of`` is called only when no USB serial number fits a term ``serial:``."""
        devices = tuple(devices)
        labels = [t for t in self.terms if t.kind is Kind.SERIAL]
        others = [t for t in self.terms if t.kind is not Kind.SERIAL]
        left = tuple(d for d in devices if all(t.fits(d, self.known) for t in others))
        found = tuple(d for d in left if all(t.fits(d, self.known) for t in labels))
        if found or not labels or label_of is None:
            return found
        askable = [d for d in left if d.mode is UsbMode.NORMAL and not d.usb.access_problem]
        return tuple(d for d in askable if {(label_of(d) or "").lower()} == {t.text for t in labels})


def parse_selector(
    text: str, names: Mapping[str, str] | None = None, slots: Mapping[str, str] | None = None
) -> Selector:
    """A selector from its text, with Device IDs by name and USB ports by slot. Raises DeviceNotFoundError for a kind or
    mode that does not exist, an empty term, an unknown name or slot, or a Device ID that is none: such a selector fits
    nothing, ever."""
    known = Known(
        {name.lower(): device_id for name, device_id in (names or {}).items()},
        {slot.lower(): port for slot, port in (slots or {}).items()},
    )
    return Selector(text, tuple(_parse_term(part, text, known) for part in text.split(",")), known)


def _parse_term(part: str, text: str, known: Known) -> Term:
    kind_text, colon, value = part.strip().lower().partition(":")
    if not colon:
        kind_text, value = "", kind_text
    kinds = [kind for kind in Kind if kind is not Kind.ANY]
    if colon and kind_text not in kinds:
        raise _never_fits(text, f"there is no '{kind_text}:'", f"kinds: {', '.join(f'{k}:' for k in kinds)}")
    term = Term(Kind(kind_text), value.strip())
    if not term.text:
        raise _never_fits(text, "a term is empty", "leave out the comma or the colon")
    if term.kind is Kind.MODE and term.text not in list(UsbMode):
        modes = " and ".join(f"mode:{mode}" for mode in UsbMode)
        raise _never_fits(text, f"'{term.text}' is no mode that the bus shows", f"{modes} exist")
    if term.kind is Kind.NAME and term.text not in known.names:
        listed = ", ".join(sorted(known.names)) or "none"
        raise _never_fits(text, f"no device is named '{term.text}'", f"known: {listed}")
    if term.kind is Kind.SLOT and term.text not in known.slots:
        hint = f"slots: {', '.join(known.slots)}" if known.slots else "give a bench with slots: --bench FILE"
        raise _never_fits(text, f"the bench has no slot '{term.text}'", hint)
    if term.kind is Kind.ID and not _ID_DIGITS.fullmatch(term.text):
        raise _never_fits(text, f"'{term.text}' begins no Device ID", f"give {MIN_ID_DIGITS} to 24 hex digits")
    return term


def _never_fits(text: str, why: str, hint: str) -> DeviceNotFoundError:
    return DeviceNotFoundError(f"'{text}' selects no device: {why}", selector=text, hint=hint)


def is_possible_name(name: str) -> bool:
    """Whether a name can be told from everything else that a term can be."""
    taken = (*(mode.value for mode in UsbMode), *(kind.value for kind in Kind))
    return (
        bool(re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_. -]*", name))
        and not _ID_DIGITS.fullmatch(name.lower())
        and not re.fullmatch(r"\d+-[\d.]*", name)
        and name.lower() not in taken
        and platform_by_name(name.lower()) is None
    )


def select_device(
    devices: Sequence[Device],
    selector: str | None,
    names: Mapping[str, str] | None = None,
    label_of: LabelReader | None = None,
    *,
    slots: Mapping[str, str] | None = None,
) -> Device:
    """The one device that ``selector`` means; None stands for the only device there is. ``slots``: USB ports by slot.

    Raises DeviceNotFoundError or DeviceAmbiguousError, which list what is connected or fits; never guesses.
    """
    matches = tuple(devices) if selector is None else parse_selector(selector, names, slots).matches(devices, label_of)
    if len(matches) == 1:
        return matches[0]
    if not matches:
        listed = [str(d) for d in devices]
        raise DeviceNotFoundError(
            f"no device matches '{selector}'" if selector else "no Particle device is connected",
            selector=selector,
            devices=listed,
            hint=f"take one of these: {'; '.join(listed)}"
            if devices
            else "plug one in; `particle-dev list` shows what is there",
        )
    raise DeviceAmbiguousError(
        f"{len(matches)} devices match: {'; '.join(str(d) for d in matches)}",
        candidates=[d.device_id or d.usb.port_path for d in matches],
        devices=[str(d) for d in matches],
        hint="choose one with --device and its Device ID",
    )
