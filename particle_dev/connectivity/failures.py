"""The catalogue of failures: one table from code to cause, hints and next step. Codes are stable; texts may change.

Source: particle-iot/docs troubleshooting/guides/connectivity-troubleshooting (cellular guide); device-os v6.2.0
system/src/system_task.cpp (texts of the log), communication/inc/protocol_defs.h (``cloud:err``),
services/inc/system_error.h. Codes with API, BRD, BYE, MEA, PNG, RST and VIT, and IP-APN, CLD-OFF, CLD-STALE, FN-VALUE,
PRE-FW, PRE-DARK and WIFI-OTHER are this project's own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class NextStep(StrEnum):
    """What happens to the unit."""

    RETRY = "test it once more"
    PARK = "park it, and test it again later"
    REWORK = "set it aside for rework"
    SITE = "stop testing until the site is mended"
    ENGINEER = "set it aside for an engineer"


class FailureCode(StrEnum):
    """Why a stage failed."""

    PRE_QUAR = "PRE-QUAR"
    PRE_PLAT = "PRE-PLAT"
    PRE_FW = "PRE-FW"
    PRE_DARK = "PRE-DARK"
    SIM_PEND = "SIM-PEND"
    SIM_OWN = "SIM-OWN"
    SIM_DEAD = "SIM-DEAD"
    MODEM_DEAD = "MODEM-DEAD"
    REG_0 = "REG-0"
    REG_2 = "REG-2"
    REG_3 = "REG-3"
    REG_TMO = "REG-TMO"
    WIFI_AUTH = "WIFI-AUTH"
    WIFI_NOAP = "WIFI-NOAP"
    WIFI_OTHER = "WIFI-OTHER"
    IP_DHCP = "IP-DHCP"
    IP_APN = "IP-APN"
    NET_DNS = "NET-DNS"
    NET_CLOUD = "NET-CLOUD"
    TLS_KEY = "TLS-KEY"
    TLS_SIG = "TLS-SIG"
    CLD_SAFE = "CLD-SAFE"
    CLD_WRONGP = "CLD-WRONGP"
    CLD_OFF = "CLD-OFF"
    CLD_STALE = "CLD-STALE"
    EVT_LOST = "EVT-LOST"
    FN_404 = "FN-404"
    FN_408 = "FN-408"
    FN_VALUE = "FN-VALUE"
    VIT_OLD = "VIT-OLD"
    PNG_LOST = "PNG-LOST"
    MEA_LIMIT = "MEA-LIMIT"
    OTA_STALL = "OTA-STALL"
    OTA_SAFE = "OTA-SAFE"
    OTA_LOOP = "OTA-LOOP"
    BYE_LOST = "BYE-LOST"
    RST_LEFT = "RST-LEFT"
    LIM_429 = "LIM-429"
    LIM_529 = "LIM-529"
    ACC_PAUSE = "ACC-PAUSE"
    API_FAIL = "API-FAIL"
    BRD_BOOT = "BRD-BOOT"
    BRD_RESET = "BRD-RESET"
    BRD_SWAP = "BRD-SWAP"
    BRD_GONE = "BRD-GONE"
    BRD_DFU = "BRD-DFU"
    BRD_MUTE = "BRD-MUTE"
    BRD_PROT = "BRD-PROT"


@dataclass(frozen=True, slots=True)
class Failure:
    """One row. ``seen_as``: how the test tells it from others. ``operator``: for the person at the bench, who has no
    tools; ``engineer``: for who looks into it later."""

    code: FailureCode
    seen_as: str
    cause: str
    operator: str
    engineer: str
    next_step: NextStep


_C, _N = FailureCode, NextStep
FAILURES: tuple[Failure, ...] = (
    Failure(
        _C.PRE_QUAR, "quarantined, denied, or no member of the product or account",
        "the Device ID was not imported, or into another product",
        "put it into the bin for units without an order",
        "import the Device ID (`particle-dev cloud import`); do not switch auto-approve on for it",
        _N.ENGINEER,
    ),
    Failure(
        _C.PRE_PLAT, "the cloud has it as another platform, or the import calls the id invalid",
        "another kind of board, a typing error, or another product owns it",
        "check the label: is this the right kind of board?",
        "compare serial number and owning product; an id that is a member elsewhere is invalid here",
        _N.ENGINEER,
    ),
    Failure(
        _C.PRE_FW, "modules not valid or incomplete, or another application than expected",
        "flashed with something else, or a flash that did not end",
        "flash it again, then test it",
        "compare module info with the recipe (`particle-dev id`)",
        _N.REWORK,
    ),
    Failure(
        _C.PRE_DARK, "strategy C, and the board has tried to connect or is online",
        "its application connects by itself, and nothing held its radio back",
        "unplug it now",
        "look its Device ID up in the cloud: billing may have started; use a test application that connects when told",
        _N.ENGINEER,
    ),
    Failure(
        _C.SIM_PEND, "the SIM is not active (yet)",
        "the carrier's queue, or nobody activated it",
        "put it into the waiting bin; it is tested again by itself later",
        "`particle-dev cloud sims show`; activation takes seconds to 24 h by class of the SIM",
        _N.PARK,
    ),
    Failure(
        _C.SIM_OWN, "the SIM is not in this product or account",
        "another account or product owns it",
        "set it aside",
        "have it released there; older SIMs take days to come back",
        _N.ENGINEER,
    ),
    Failure(
        _C.SIM_DEAD, "control request 554 fails with AT_NOT_OK, or an ICCID that is none",
        "the modem cannot read its SIM: soldering, or the external SIM is selected",
        "set it aside for rework",
        "selected SIM (control request 553) internal? then solder of SIM and modem",
        _N.REWORK,
    ),
    Failure(
        _C.MODEM_DEAD, "control request 554 times out, or the log says: No response from NCP",
        "the modem has no power, too little, or is broken",
        "connect battery and a strong USB port, and test it again; then rework",
        "supply current at power-up, PMIC, reflow of the modem",
        _N.REWORK,
    ),
    Failure(
        _C.REG_0, "+CEREG: 2,0 all the time, or no network is registered and no signal is told",
        "no cell is seen at all",
        "is the antenna on its connector? Try a known good board in this place",
        "antenna, connector, coverage of the place",
        _N.RETRY,
    ),
    Failure(
        _C.REG_2, "+CEREG: 2,2 all the time",
        "cells are there, but none for this SIM and modem",
        "try a known good board in this place",
        "region and bands of the modem; LTE-M devices find nothing in some countries: use strategy C there",
        _N.SITE,
    ),
    Failure(
        _C.REG_3, "+CEREG: 2,3",
        "the network refuses the SIM or the IMEI",
        "put it into the waiting bin",
        "state of the SIM in the cloud, then the carrier; after an activation it can take 24 to 48 h",
        _N.PARK,
    ),
    Failure(
        _C.REG_TMO, "no registration within the time, and no log that says why",
        "antenna, coverage, SIM, or carrier",
        "check the antenna, and test it once more",
        "an application with FEATURE_CONFIGURABLE_LOGGING logs AT commands, which tell REG-0, REG-2 and REG-3 apart",
        _N.RETRY,
    ),
    Failure(
        _C.WIFI_AUTH, "the network is in the air, and does not take the board",
        "wrong password or security",
        "ask for the right Wi-Fi password of this bench",
        "password, security mode, list of allowed MAC addresses; try the access point with a reference device",
        _N.SITE,
    ),
    Failure(
        _C.WIFI_NOAP, "the network is not among those that a scan finds",
        "the access point is off, too far, or on 5 GHz only, or the name is wrong; or the antenna",
        "is the access point on, and its name right, capitals too? Try a known good board",
        "SSID, 2.4 GHz, channels 12 and 13, antenna",
        _N.SITE,
    ),
    Failure(
        _C.WIFI_OTHER, "the board is in another Wi-Fi network than the one that the test names",
        "a network that it knew before was nearer or quicker",
        "test it once more",
        "take the other network off the board, or switch its access point off for the test",
        _N.RETRY,
    ),
    Failure(
        _C.IP_DHCP, "registered or associated, and no IPv4 address follows",
        "no lease, or PPP fails",
        "try a known good board; then call an engineer",
        "lease pool of the access point; PPP errors (-1700 to -1712) in the log",
        _N.SITE,
    ),
    Failure(
        _C.IP_APN, "as IP-DHCP, and an access point name is stored that is not the SIM's default",
        "the wrong APN is stored on the board",
        "set it aside for an engineer",
        "set the default again: control request 550 with use_defaults",
        _N.REWORK,
    ),
    Failure(
        _C.NET_DNS, "the log says 'Internet test failed', or the socket is tried again and again without a handshake",
        "names are not resolved, or nothing beyond the network is reached",
        "call the engineer: the bench's network is down",
        "DNS of the network, a captive portal, a firewall",
        _N.SITE,
    ),
    Failure(
        _C.NET_CLOUD, "the log says 'Internet available, cloud not reachable', or no answer comes with a good signal",
        "UDP 5684 (or TCP 5683) is blocked, or the server address on the board is wrong",
        "call the engineer: the bench's network blocks the cloud",
        "firewall; server address and server key on the board (`particle-dev` reads them in DFU mode)",
        _N.SITE,
    ),
    Failure(
        _C.TLS_KEY, "cloud:err 8, or the event spark/device/key/error",
        "the device's key is not the one that the cloud has, or the server key on the board is wrong",
        "set it aside for an engineer",
        "send the board's public key to the cloud again; never make new keys silently",
        _N.ENGINEER,
    ),
    Failure(
        _C.TLS_SIG, "cloud:err 1, 10 or 17 with a weak signal",
        "datagrams are lost",
        "check the antenna, and test it once more",
        "signal strength and quality in the report; coverage of the place",
        _N.RETRY,
    ),
    Failure(
        _C.CLD_SAFE, "safe mode: the event spark/status/safe-mode, or a module that lacks what it needs",
        "a module or an asset is missing or too old",
        "flash it again, then test it",
        "the list of dependencies is in the report",
        _N.REWORK,
    ),
    Failure(
        _C.CLD_WRONGP, "the cloud has it in another product",
        "not moved, or quarantined by its firmware's product id",
        "set it aside for an engineer",
        "remove it there and import it here",
        _N.ENGINEER,
    ),
    Failure(
        _C.CLD_OFF, "a stage that needs a session finds none",
        "it was not connected, or has lost its session",
        "test it once more",
        "stages before handshake connect it; run them, too. Else: coverage",
        _N.RETRY,
    ),
    Failure(
        _C.CLD_STALE, "the board says that it is connected, the cloud's record does not follow",
        "the record is late, or belongs to another device",
        "test it once more",
        "compare Device IDs; status page of the cloud",
        _N.RETRY,
    ),
    Failure(
        _C.EVT_LOST, "online, and an event does not come back",
        "the event stream is dead or of the wrong scope, a rate limit, or the event was lost",
        "test it once more",
        "was the canary alive? An unclaimed device is on its product's stream only",
        _N.RETRY,
    ),
    Failure(
        _C.FN_404, "the cloud knows no such function or variable of the device",
        "another application runs, or it has not told its functions yet",
        "flash it again, then test it",
        "application hash; functions of the record (`particle-dev cloud devices show`)",
        _N.REWORK,
    ),
    Failure(
        _C.FN_408, "the device does not answer a function, a variable or a publish in time",
        "its application is blocked, or the link is weak",
        "test it once more",
        "what does loop() wait for? Signal in the report",
        _N.RETRY,
    ),
    Failure(
        _C.FN_VALUE, "another value came back than expected",
        "another application, or a defect of it",
        "set it aside for an engineer",
        "expected and actual value are in the report",
        _N.ENGINEER,
    ),
    Failure(
        _C.VIT_OLD, "no vitals newer than the test arrive",
        "the device did not answer, or the cloud is late",
        "test it once more",
        "`particle-dev cloud vitals --refresh`; coverage",
        _N.RETRY,
    ),
    Failure(
        _C.PNG_LOST, "a ping is not answered",
        "the session has just ended, or the device is blocked",
        "test it once more",
        "spark/status events in the report",
        _N.RETRY,
    ),
    Failure(
        _C.MEA_LIMIT, "a measured value is outside of its limits",
        "weak radio, a slow network, or a defect",
        "check the antenna, and test it once more",
        "the value and its limits are in the report; compare with a reference unit in this place",
        _N.RETRY,
    ),
    Failure(
        _C.OTA_STALL, "an update began and did not end, or did not begin",
        "the link broke off, or the application has disabled updates (-1380)",
        "test it once more",
        "firmware_updates_enabled of the device; force updates; signal",
        _N.RETRY,
    ),
    Failure(
        _C.OTA_SAFE, "in safe mode after the update",
        "the new application needs a newer Device OS",
        "flash Device OS over USB, then test it",
        "`particle-dev firmware check` before the release",
        _N.REWORK,
    ),
    Failure(
        _C.OTA_LOOP, "the version goes back after the update",
        "the product's default is not the version that the device was locked to",
        "set it aside for an engineer",
        "lock the device, or mark it as a development device",
        _N.ENGINEER,
    ),
    Failure(
        _C.BYE_LOST, "told to disconnect, and the board or the cloud does not follow",
        "the application connects again, or the goodbye was lost",
        "unplug it",
        "the cloud notices two keep-alives later: 50 s by Wi-Fi, 46 min by cellular; does the application reconnect?",
        _N.RETRY,
    ),
    Failure(
        _C.RST_LEFT, "something that the test set could not be taken back",
        "the board or the cloud did not answer in the end",
        "set it aside for an engineer",
        "what is left is named in the report: take it back by hand",
        _N.ENGINEER,
    ),
    Failure(
        _C.LIM_429, "HTTP 429", "too many requests from this place", "wait five minutes",
        "other programs behind the same address; PARTICLE_DEV_LIMIT_SHARE", _N.SITE,
    ),
    Failure(
        _C.LIM_529, "HTTP 529", "too many event streams opened from this place", "wait five minutes",
        "other programs behind the same address open streams; one for a site is enough", _N.SITE,
    ),
    Failure(
        _C.ACC_PAUSE, "no device of the account gets online, and its plan is used up",
        "the free plan's allowance is spent: the account is paused",
        "call the engineer: nothing can be tested until the account is served again",
        "service agreement notifications (`particle-dev cloud usage`)",
        _N.SITE,
    ),
    Failure(
        _C.API_FAIL, "the cloud's API refuses or cannot be reached",
        "token, scope, network of this computer, or an outage",
        "call the engineer",
        "the cloud's answer is in the report",
        _N.SITE,
    ),
    Failure(
        _C.BRD_BOOT, "no answer over USB after a reset",
        "it does not boot, or not as the same board",
        "unplug it, plug it in, and test it once more; then rework",
        "supply, bootloader, modules (`particle-dev id` in DFU mode)",
        _N.REWORK,
    ),
    Failure(
        _C.BRD_RESET, "uptime or enumeration began anew in the middle of a stage",
        "brown-out, watchdog, a fault in the application, or somebody pressed RESET",
        "check cable and battery, do not touch it, and test it once more",
        "supply while the modem sends",
        _N.RETRY,
    ),
    Failure(
        _C.BRD_SWAP, "another Device ID answers at the same port",
        "somebody changed the board in the middle of its test",
        "put the first board back, and test both from the start",
        "both Device IDs are in the report; nothing of this run counts for the second one",
        _N.RETRY,
    ),
    Failure(
        _C.BRD_GONE, "no board at its port any more",
        "unplugged, or its USB died",
        "plug it in, and test it once more",
        "cable, hub, supply",
        _N.RETRY,
    ),
    Failure(
        _C.BRD_DFU, "it went into DFU mode in the middle",
        "its bootloader found nothing to start, or somebody held MODE",
        "do not touch the buttons, and test it once more",
        "modules in DFU mode (`particle-dev id`)",
        _N.REWORK,
    ),
    Failure(
        _C.BRD_MUTE, "on the bus, and no control request is answered",
        "its system or application thread is blocked",
        "test it once more",
        "a loop() that blocks without SYSTEM_THREAD(ENABLED) blocks requests, too",
        _N.RETRY,
    ),
    Failure(
        _C.BRD_PROT, "it answers PROTECTED, or refuses a request that the test needs",
        "device protection is on",
        "set it aside for an engineer",
        "open it for service, or test by the cloud alone",
        _N.ENGINEER,
    ),
)  # fmt: skip
CATALOGUE: Mapping[FailureCode, Failure] = {failure.code: failure for failure in FAILURES}
