"""What can be wrong on a board's way to the network and to the cloud, by name.

====================  ==============================================================================================
trouble               what happens
====================  ==============================================================================================
``modem_dead``        the modem does not answer
``sim_dead``          the modem cannot read its SIM
``no_coverage``       no cell is there at all: ``+CEREG: 2,0``, and no Wi-Fi network either
``no_carrier``        cells are there, none takes this SIM: it searches for ever (``+CEREG: 2,2``)
``denied``            the network refuses the SIM (``+CEREG: 2,3``)
``no_address``        the link comes up, and no address follows: DHCP, or PPP
``dns_blocked``       names are not resolved
``udp_blocked``       nothing comes back from the cloud's port
``weak_signal``       −118 dBm, a quality of −17 dB; everything works
``updates_stall``     an update over the air begins, and no more is heard of it
====================  ==============================================================================================

A wrong APN, an inactive SIM, a wrong Wi-Fi password, a key that is not the cloud's: these come from what is stored on
the board or in the simulated cloud.
"""

from __future__ import annotations

from collections.abc import Iterable

MODEM_DEAD, SIM_DEAD = "modem_dead", "sim_dead"
NO_COVERAGE, NO_CARRIER, DENIED = "no_coverage", "no_carrier", "denied"
NO_ADDRESS, DNS_BLOCKED, UDP_BLOCKED = "no_address", "dns_blocked", "udp_blocked"
WEAK_SIGNAL, UPDATES_STALL = "weak_signal", "updates_stall"
TROUBLES = (
    MODEM_DEAD, SIM_DEAD, NO_COVERAGE, NO_CARRIER, DENIED, NO_ADDRESS, DNS_BLOCKED, UDP_BLOCKED, WEAK_SIGNAL,
    UPDATES_STALL,
)  # fmt: skip
NOT_SEARCHING, SEARCHING, REFUSED, ROAMING = 0, 2, 3, 5
"""Second number of ``+CEREG:``."""
REGISTRATION_OF = {NO_COVERAGE: NOT_SEARCHING, NO_CARRIER: SEARCHING, DENIED: REFUSED}
REGISTRATION_TIMEOUT_S = 600.0
"""Then Device OS resets the modem. Source: device-os v6.2.0 hal/network/ncp_client/sara/sara_ncp_client.cpp."""


def parse_troubles(names: Iterable[str]) -> tuple[str, ...]:
    """Names from a bench file. ValueError for one that is none."""
    given = tuple(str(name) for name in names)
    unknown = [name for name in given if name not in TROUBLES]
    if unknown:
        raise ValueError(f"no trouble of the network is called {unknown[0]!r}; known: {', '.join(TROUBLES)}")
    return given
