"""One program at a time has a virtual probe, as the operating system sees to for one on USB. pyOCD's own client."""

import threading

import pytest
from particle_harness.swd.claim import Claim
from particle_harness.swd.cmsis_dap import CmsisDap, CmsisDapServer
from particle_harness.swd.probe_server import ProbeServer
from pyocd.core import exceptions
from pyocd.probe.tcp_client_probe import TCPClientProbe

from particle_dev.catalog.chips import NRF52840
from particle_dev.errors import LinkAccessError
from particle_dev.transport.swd import SwdLink

pytestmark = pytest.mark.usefixtures("own_probes")


def test_a_second_program_does_not_get_in(nrf52840):
    chip = nrf52840()
    with ProbeServer(chip) as server:
        with SwdLink(f"remote:127.0.0.1:{server.port}", NRF52840) as link:
            other = TCPClientProbe(f"127.0.0.1:{server.port}")
            with pytest.raises(exceptions.ProbeError, match="another program has the probe open"):
                other.open()
            other.close()
            assert link.halted, "nobody has let it run"
        other.open()
        with pytest.raises(LinkAccessError, match="another program has the probe open") as caught:
            SwdLink(f"remote:127.0.0.1:{server.port}", NRF52840)
        assert "end any other program" in caught.value.hint
        other.close()
        with SwdLink(f"remote:127.0.0.1:{server.port}", NRF52840) as link:
            assert link.halted


def test_a_program_that_ends_without_a_word_gives_it_back(nrf52840):
    with ProbeServer(nrf52840()) as server:
        other = TCPClientProbe(f"127.0.0.1:{server.port}")
        other.open()
        other._socket.close()
        with SwdLink(f"remote:127.0.0.1:{server.port}", NRF52840) as link:
            assert link.halted


def test_pyocd_and_openocd_share_one_claim(nrf52840):
    chip, claim = nrf52840(), Claim()
    with ProbeServer(chip, claim=claim) as server, CmsisDapServer(CmsisDap(chip), claim=claim) as dap:
        assert server.claim is dap.claim
        openocd = object()
        assert claim.take(openocd)
        other = TCPClientProbe(f"127.0.0.1:{server.port}")
        with pytest.raises(exceptions.ProbeError, match="another program"):
            other.open()
        other.close()


def test_whoever_waits_gets_it_when_it_is_given_back():
    claim, first, second = Claim(), object(), object()
    assert claim.take(first)
    assert claim.take(first)
    taken = []
    waiting = threading.Thread(target=lambda: taken.append(claim.take(second)))
    waiting.start()
    claim.give_back(second)
    claim.give_back(first)
    waiting.join(10)
    assert taken == [True]
