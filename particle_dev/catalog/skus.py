"""What Particle sells, by stock keeping unit (SKU): serial number prefix, platform, and how fast its SIM is activated.

A prefix is good for plausibility, not for identity: several SKUs can share one, and kits have one of their own on the
box. Values only.
"""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

_PREFIXES = "particle-iot/docs src/content/hardware/best-practices/serial-number.md"
_SPEED = "particle-iot/docs src/content/getting-started/cloud/device-claiming.md, SIM activation speed"
_ETHERSIM = f"inferred from EtherSIM in {_PREFIXES}; {_SPEED} does not list it"


class SimClass(StrEnum):
    """How long the activation of a SIM takes."""

    FAST = "fast"
    """Seconds."""
    GENERALLY_FAST = "generally fast"
    """Seconds, up to a minute; rarely up to a day."""
    SOMETIMES_SLOW = "sometimes slow"
    """The first activation is usually quick; after a deactivation or release tens of minutes, sometimes days."""


class Sku(NamedTuple):
    """A family of SKUs: all whose name begins with ``name`` (``BRN404X`` is also ``BRN404XTRAY50``)."""

    name: str
    platform_name: str
    serial_prefixes: tuple[str, ...]
    sim: SimClass | None = None
    """None: no SIM."""
    sim_source: str = ""
    plastic_sim: bool = False
    """The SIM is a plastic card (4FF) with an ICCID of its own, to be imported separately; else it is soldered in and
    comes along with the device."""


_FAST, _GENERALLY, _SLOW = SimClass.FAST, SimClass.GENERALLY_FAST, SimClass.SOMETIMES_SLOW

# Tables are easier to compare in rows than with one value a line.
# fmt: off
SKUS: tuple[Sku, ...] = (
    Sku("ARG-STRTKT", "argon", ("P010",)),
    Sku("ARG-AQKT", "argon", ("P011",)),
    Sku("ARG-LDKT", "argon", ("P013",)),
    Sku("ARGN", "argon", ("ARNH", "ARNK", "ARNT")),
    Sku("ASSET2GV2", "electron", ("A35K",), _GENERALLY, _SPEED, plastic_sim=True),
    Sku("ASSET3G260V2", "electron", ("A26K",), _GENERALLY, _SPEED, plastic_sim=True),
    Sku("ASSET3G270V2", "electron", ("A27K",), _GENERALLY, _SPEED, plastic_sim=True),
    Sku("B402", "bsom", ("P006", "P007"), _SLOW, _SPEED),
    Sku("B404", "bsom", ("P033",), _FAST, _SPEED),
    Sku("B404X", "bsom", ("P042",), _FAST, _SPEED),
    Sku("B504", "b5som", ("P056",), _FAST, _ETHERSIM),
    Sku("B523", "b5som", ("P019", "P020"), _SLOW, _SPEED),
    Sku("B524", "b5som", ("P034",), _FAST, _SPEED),
    Sku("BRN310", "boron", ("B31K", "B31T"), _SLOW, _SPEED),
    Sku("BRN314", "boron", ("P027",), _FAST, _SPEED),
    Sku("BRN402", "boron", ("B40H", "B40K", "B40T", "P012"), _SLOW, _SPEED),
    Sku("BRN404", "boron", ("P028",), _FAST, _SPEED),
    Sku("BRN404X", "boron", ("P044",), _FAST, _SPEED),
    Sku("E260", "electron", ("E26K", "E26T"), _GENERALLY, _SPEED, plastic_sim=True),
    Sku("E270", "electron", ("E27K", "E27T"), _GENERALLY, _SPEED, plastic_sim=True),
    Sku("E310", "electron", ("E31K", "E31M", "E31T"), _GENERALLY, _SPEED),
    Sku("E313", "electron", ("P005",), _SLOW, _SPEED),
    Sku("E314", "electron", ("P029",), _FAST, _SPEED),
    Sku("E350", "electron", ("E35K", "E35T"), _GENERALLY, _SPEED, plastic_sim=True),
    Sku("E402", "electron", ("E40K", "E40M", "E40T"), _SLOW, _SPEED),
    Sku("E404", "electron", ("P030",), _FAST, _SPEED),
    Sku("E404X", "esomx", ("P052",), _FAST, _SPEED),
    Sku("ELC314", "electron", ("P035",), _FAST, _SPEED, plastic_sim=True),
    Sku("ELC402", "electron", ("E4DK", "E4DT"), _SLOW, _SPEED),
    Sku("ELC404", "electron", ("P036",), _FAST, _SPEED),
    Sku("M404", "msom", ("P054",), _FAST, _ETHERSIM),
    Sku("M524", "msom", ("P055",), _FAST, _ETHERSIM),
    Sku("M635", "msom", ("P055",), _FAST, _ETHERSIM),
    Sku("MON404", "tracker", ("P031",), _FAST, _ETHERSIM),
    Sku("MON524", "tracker", ("P031",), _FAST, _ETHERSIM),
    Sku("MUON404", "msom", ("P054",), _FAST, _ETHERSIM),
    Sku("MUON524", "msom", ("P055",), _FAST, _ETHERSIM),
    Sku("MUON635", "msom", ("P054",), _FAST, _ETHERSIM),
    Sku("ONE402", "tracker", ("P024",), _SLOW, _SPEED),
    Sku("ONE404", "tracker", ("P031",), _FAST, _SPEED),
    Sku("ONE523", "tracker", ("P025",), _SLOW, _SPEED),
    Sku("ONE524", "tracker", ("P032",), _FAST, _SPEED),
    Sku("P0MOD", "photon", ("P0MD",)),
    Sku("P1MOD", "p1", ("P1MD",)),
    Sku("P2MOD", "p2", ("P046",)),
    Sku("P2REEL", "p2", ("P046",)),
    Sku("PHN2", "p2", ("P051",)),
    Sku("PHNTRAYH", "photon", ("PHHT",)),
    Sku("PHNTRAYNOH", "photon", ("PHNT",)),
    Sku("PHOTONH", "photon", ("PHHM",)),
    Sku("PHOTONKIT", "photon", ("PHHK",)),
    Sku("PHOTONNOH", "photon", ("PHNM",)),
    Sku("SNSRKIT3G260", "electron", ("S26K",), _GENERALLY, _SPEED, plastic_sim=True),
    Sku("SNSRKIT3G270", "electron", ("S27K",), _GENERALLY, _SPEED, plastic_sim=True),
    Sku("T402", "tracker", ("P024",), _SLOW, _SPEED),
    Sku("T404", "tracker", ("P031",), _FAST, _SPEED),
    Sku("T523", "tracker", ("P025",), _SLOW, _SPEED),
    Sku("T524", "tracker", ("P032",), _FAST, _SPEED),
    Sku("XENN", "xenon", ("XENT",)),
)
# fmt: on
"""Source of prefixes and platforms: particle-iot/docs, serial-number.md; of plastic SIMs: device-claiming.md."""

_BY_PREFIX: dict[str, tuple[Sku, ...]] = {
    prefix: tuple(sku for sku in SKUS if prefix in sku.serial_prefixes)
    for prefix in sorted({p for sku in SKUS for p in sku.serial_prefixes})
}
_LONGEST_FIRST = sorted(SKUS, key=lambda sku: -len(sku.name))


def skus_by_serial_number(serial_number: str) -> tuple[Sku, ...]:
    """The families whose devices can have this serial number; empty for a prefix that no public source lists."""
    return _BY_PREFIX.get(serial_number[:4].upper(), ())


def sku_by_name(name: str) -> Sku | None:
    """The family of a SKU as it stands in order papers, such as ``B404XMTY``; None for an unknown one."""
    return next((sku for sku in _LONGEST_FIRST if name.upper().startswith(sku.name)), None)


def platform_name_by_serial_number(serial_number: str) -> str | None:
    """The platform that this serial number's prefix stands for, or None for a prefix that no public source lists."""
    skus = skus_by_serial_number(serial_number)
    return skus[0].platform_name if skus else None


def sim_class_by_serial_number(serial_number: str) -> SimClass | None:
    """The activation class of the SIM of a device with this serial number; None: no SIM, or an unknown prefix."""
    skus = skus_by_serial_number(serial_number)
    return skus[0].sim if skus else None


def has_plastic_sim(serial_number: str) -> bool:
    """Whether devices with this serial number take a plastic SIM card, which does not come along with the device."""
    skus = skus_by_serial_number(serial_number)
    return bool(skus) and skus[0].plastic_sim
