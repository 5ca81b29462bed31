"""How billing starts by accident, and where this program prevents, detects or reports each way.

A table for people and for a test: every hazard has a place in the code that answers for it.

Stations ask ``require_act`` before each act of their recipe: identify and flash, import, connect, disconnect, unclaim,
and the gate of strategy A. `cloud import` imports orders, not boards: it needs may_bill and cannot see what has power.

Source: Device OS and particle-cli as named in each ``why``; product pages of Particle.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Handling(StrEnum):
    """What is done about a hazard."""

    PREVENTED = "prevented"
    """Refused, or it cannot come about in this program's hands."""
    DETECTED = "detected"
    """It shows in the verdict, which is then not ``not_started``."""
    REPORTED = "reported"
    """Said to people, who have to act."""


@dataclass(frozen=True, slots=True)
class Hazard:
    """One way. ``where`` is the name of what answers for it."""

    id: str
    title: str
    why: str
    handling: Handling
    how: str
    where: str


_P, _D, _R = Handling.PREVENTED, Handling.DETECTED, Handling.REPORTED
HAZARDS: tuple[Hazard, ...] = (
    Hazard(
        "H1",
        "a reset after flashing boots an application that connects",
        "device-os system/src/system_mode.cpp: AUTOMATIC is the default",
        _P,
        "leaving DFU mode needs may_connect; a station ends in DFU mode and cuts the power",
        "particle_dev.device.dfu.DfuSession.leave",
    ),
    Hazard(
        "H2",
        "safe mode connects",
        "device-os system/src/system_mode.cpp set_system_mode(SAFE_MODE)",
        _P,
        "control request 60 and the bootloader's command for it need may_connect",
        "particle_dev.device.control.ControlSession.enter_safe_mode",
    ),
    Hazard(
        "H3",
        "an unmet dependency ends in safe mode",
        "device-os modules/shared/*/inc/system_part*_loader.c",
        _P,
        "a plan is refused unless every module's needs are met by what will be on the board",
        "particle_dev.flash.plan.make_plan",
    ),
    Hazard(
        "H4",
        "a missing asset ends in safe mode",
        "device-os system/src/main.cpp app_setup_and_loop",
        _P,
        "an update is refused when an asset is neither offered nor on the board",
        "particle_dev.flash.update_plan.make_update_plan",
    ),
    Hazard(
        "H5",
        "the flag 'setup done' holds nothing back since Device OS 4.0",
        "device-os system/src/control/config.cpp",
        _P,
        "no evidence is made of the flag",
        "particle_dev.cloud.gate.INTERLOCKS",
    ),
    Hazard(
        "H6",
        "listening mode ends with the next reset",
        "device-os system/src/system_network_manager_api.cpp",
        _D,
        "listening is evidence for the boot in which it was seen, and for no later one",
        "particle_dev.cloud.metering.held_listening",
    ),
    Hazard(
        "H7",
        "a request to disconnect lasts until the next reset",
        "device-os system/src/control/cloud.cpp",
        _D,
        "the request is no evidence; what was tried before it shows in the counters",
        "particle_dev.cloud.metering.read_counters",
    ),
    Hazard(
        "H8",
        "other tools reset boards, or enter safe mode on the way",
        "particle-cli src/cmd/usb-util.js, keys.js, device-protection.js, src/lib/flash-helper.js",
        _D,
        "a board that left its enumeration while it was held breaks the evidence, and the step",
        "particle_dev.station.observations.Observations.still_held",
    ),
    Hazard(
        "H9",
        "an import activates the SIM long before the line",
        "particle-iot/docs src/content/scaling/manufacturing/manufacturing-cellular.md",
        _P,
        "a station imports a unit only when it is off or held; `cloud import`, which cannot see that, needs may_bill",
        "particle_dev.station.guard.UnitGuard.take_in",
    ),
    Hazard(
        "H10",
        "the cloud flashes its release over what the line flashed",
        "particle-iot/docs src/content/reference/cloud-apis/api.md, product firmware",
        _P,
        "strategy A connects only with the version that the product releases, or with a development mark",
        "particle_dev.cloud.strategies.require_act",
    ),
    Hazard(
        "H11",
        "auto-approve lets strangers' devices in, and bills them",
        "product pages, quarantine",
        _P,
        "no station imports unless auto-approve is known to be off; 'cloud check' tells when it is on",
        "particle_dev.station.guard.UnitGuard.take_in",
    ),
    Hazard(
        "H12",
        "with a wildcard product id unknown devices are not even held in quarantine",
        "particle-iot/docs src/content/getting-started/cloud/device-claiming.md",
        _P,
        "by strategy A no station flashes or connects what is no approved member; 'cloud check' tells of wildcards",
        "particle_dev.cloud.strategies.require_act",
    ),
    Hazard(
        "H13",
        "a battery keeps a unit on in its box",
        "inference",
        _D,
        "'not_started' needs a loss of power that is certain: cut by the bench, or off USB without a battery",
        "particle_dev.cloud.gate.evaluate",
    ),
    Hazard(
        "H14",
        "a connection in another account may count on arrival",
        "product pages: 'connected at least once'",
        _R,
        "the verdict says 'unknown', and apart from it that nothing was added since the baseline",
        "particle_dev.cloud.gate.evaluate",
    ),
    Hazard(
        "H15",
        "reading ICCID and IMEI powers the modem",
        "device-os system/src/control/cellular.cpp",
        _R,
        "said in the description of the request; the counters prove that no connection followed",
        "particle_dev.cloud.metering.read_counters",
    ),
    Hazard(
        "H16",
        "a Wi-Fi test leaves its network behind",
        "inference",
        _D,
        "only an empty list of networks is evidence",
        "particle_dev.cloud.metering.no_credentials",
    ),
    Hazard(
        "H17",
        "out of the product, but its SIM not released: it still counts",
        "product pages; device-claiming.md",
        _P,
        "'cloud devices retire' does both in one transaction, complete only when both were read back",
        "particle_dev.cloud.removal.undo",
    ),
    Hazard(
        "H18",
        "a device that was offline when it moved waits in the old product's quarantine",
        "particle-iot/node-example-device-move README",
        _D,
        "membership asks for product, platform, quarantine and denial",
        "particle_dev.cloud.facts.membership",
    ),
    Hazard(
        "H19",
        "the same version in two products: no flash after the move",
        "particle-iot/node-example-device-move README",
        _P,
        "a station moves a unit by strategy B only with the final firmware on it, read back, and off",
        "particle_dev.station.guard.UnitGuard.unclaim",
    ),
    Hazard(
        "H20",
        "the first release of a version needs a device that runs it, and is billed",
        "particle-iot/docs src/content/reference/cloud-apis/api.md, release product firmware",
        _R,
        "the cloud refuses a release that no member runs; the error names the golden device",
        "particle_dev.cloud.product_firmware.check_first_release",
    ),
)
