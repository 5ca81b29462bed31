"""Names of the diagnostic sources that request 100 and the console command ``d`` report.

Source: device-os v6.2.0 services/inc/diagnostics.h. Applications add names of their own with ids from 32768 on.
"""

from __future__ import annotations

from typing import NamedTuple


class DiagnosticSource(NamedTuple):
    """One source. Ids are those of the cloud's diagnostics messages."""

    id: int
    name: str
    meaning: str


# fmt: off
SOURCES: tuple[DiagnosticSource, ...] = tuple(DiagnosticSource(*row) for row in (
    (1, "sys:reset", "reason of the last reset"),
    (2, "mem:free", "free heap in bytes"),
    (3, "batt:soc", "battery charge"),
    (4, "sys:loop", "system loops"),
    (5, "app:loop", "application loops"),
    (6, "sys:uptime", "seconds since boot"),
    (7, "batt:state", "battery state"),
    (8, "net:stat", "network state"),
    (9, "net:err", "last network error"),
    (10, "cloud:stat", "cloud state, see CloudStatus"),
    (12, "net:dconn", "network disconnections since boot"),
    (13, "cloud:err", "last cloud error"),
    (14, "cloud:dconn", "cloud disconnections since boot"),
    (15, "net:ip:addr", "IPv4 address"),
    (16, "net:ip:gw", "IPv4 gateway"),
    (17, "net:flags", "interface flags"),
    (18, "net:cntry", "Wi-Fi country"),
    (19, "net:rssi", "signal strength"),
    (20, "pub:limit", "events dropped by the rate limit"),
    (21, "coap:retransmit", "CoAP retransmissions"),
    (22, "coap:unack", "CoAP messages never acknowledged"),
    (23, "coap:transmit", "CoAP messages sent"),
    (24, "pwr:src", "power source"),
    (25, "sys:tram", "RAM in bytes"),
    (26, "sys:uram", "used RAM in bytes"),
    (27, "net:connatt", "network connection attempts since the last success"),
    (28, "net:dconnrsn", "reason of the last network disconnection"),
    (29, "cloud:connatt", "cloud connection attempts since the last success"),
    (30, "cloud:dconnrsn", "reason of the last cloud disconnection"),
    (31, "coap:roundtrip", "CoAP round trip in milliseconds"),
    (33, "net:sigstr", "signal strength"),
    (34, "net:sigqual", "signal quality"),
    (35, "net:sigqualv", "signal quality, value"),
    (36, "net:at", "access technology"),
    (37, "net:sigstrv", "signal strength, value"),
    (40, "net:cell:cgi:mcc", "mobile country code"),
    (41, "net:cell:cgi:mnc", "mobile network code"),
    (42, "net:cell:cgi:lac", "location area code"),
    (43, "net:cell:cgi:ci", "cell id"),
    (44, "cloud:connif", "interface of the cloud connection"),
    (45, "net:alt:sigstrv", "signal strength of the other interface, value"),
    (46, "net:alt:sigstr", "signal strength of the other interface"),
    (47, "net:alt:sigqual", "signal quality of the other interface"),
    (48, "net:alt:sigqualv", "signal quality of the other interface, value"),
    (49, "net:alt:at", "access technology of the other interface"),
    (60, "sys:protected", "1 when device protection is on"),
))
# fmt: on

OLD_NAMES = {"net.ip:gw": "net:ip:gw", "coap:resend": "coap:retransmit"}
"""What earlier releases called two of them."""

_BY_NAME = {source.name: source for source in SOURCES}


def diagnostic_source(name: str) -> DiagnosticSource | None:
    """The source of that name, present or old; None for one of an application."""
    return _BY_NAME.get(OLD_NAMES.get(name, name))
