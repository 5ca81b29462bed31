"""Cellular modem of a board: what it tells when it is powered, and its stored settings.

Source: device-os v6.2.0 hal/network/ncp/cellular/cellular_network_manager.cpp, system/src/control/cellular.cpp.
"""

from __future__ import annotations

from dataclasses import dataclass

from particle_harness.radio import Radio
from particle_harness.state import BoardState

INTERNAL_SIM, EXTERNAL_SIM = 1, 2
FIRMWARE_VERSION = "L0.0.00.00.05.06,A.02.00"
"""Of a SARA-R410; other modems have other forms."""


@dataclass(frozen=True, slots=True)
class ModemIds:
    """Numbers that only a powered modem tells."""

    iccid: str
    imei: str


class Modem:
    """Access points are stored per SIM; an absent one stands for Particle's own."""

    def __init__(self, state: BoardState, radio: Radio) -> None:
        self._state = state
        self._radio = radio

    def power_on_and_identify(self) -> ModemIds:
        """Power the modem, which may register in a mobile network, and ask it. It stays on."""
        self._radio.power_on()
        return self._ids()

    def cached_ids(self) -> ModemIds:
        """What the system remembers without the modem: nothing before it ever ran."""
        return self._ids() if self._state.radio_has_run else ModemIds("", "")

    @property
    def sim_iccid(self) -> str:
        """Of the SIM that the network sees."""
        return self._ids().iccid

    @property
    def internal_iccid(self) -> str:
        """Of the SIM that is soldered in."""
        return self._ids(INTERNAL_SIM).iccid

    @property
    def imei(self) -> str:
        """Of the modem."""
        return self._ids().imei

    @property
    def active_sim(self) -> int:
        """The SIM from the next reset on; anything but the external one counts as the internal one."""
        return EXTERNAL_SIM if self._state.active_sim == EXTERNAL_SIM else INTERNAL_SIM

    @active_sim.setter
    def active_sim(self, sim: int) -> None:
        self._state.active_sim = sim

    def access_point(self, sim: int) -> dict[str, str] | None:
        """``apn``, ``user`` and ``password`` stored for a SIM, None for the default."""
        return self._state.access_points.get(str(sim))

    @property
    def active_access_point(self) -> dict[str, str] | None:
        """As :meth:`access_point`, of the SIM in use."""
        return self.access_point(self.active_sim)

    def set_access_point(self, sim: int, point: dict[str, str] | None) -> None:
        """Store an access point, or the default. One without any text is the default, too."""
        if point and any(point.values()):
            self._state.access_points[str(sim)] = point
        else:
            self._state.access_points.pop(str(sim), None)

    def _ids(self, sim: int | None = None) -> ModemIds:
        digits = str(int(self._state.device_id[-12:], 16)).rjust(15, "0")[-11:]
        iccid = ("89014103" if (sim or self.active_sim) == INTERNAL_SIM else "89430103") + digits
        imei = ("3527530" + digits)[:14]
        return ModemIds(iccid + _luhn(iccid), imei + _luhn(imei))


def _luhn(digits: str) -> str:
    doubled = (int(d) * (2 - i % 2) for i, d in enumerate(reversed(digits)))
    return str(-sum(d // 10 + d % 10 for d in doubled) % 10)
