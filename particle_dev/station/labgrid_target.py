"""Particle boards for labgrid's own environment files and fixtures: a resource, a driver and a strategy. Imports
labgrid, whose licence is the LGPL (extra ``labgrid``)::

    imports:
      - particle_dev.station.labgrid_target
    targets:
      main:
        resources:
          RemotePlace:
            name: boron-1
        drivers:
          ParticleBoardDriver: {}
          ParticleStrategy: {}

An exporter offers ``NetworkSerialPort`` and ``ParticleProbe``, one of each or one of the two; an exporter without this
package can, since labgrid hands on what it does not know.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from enum import StrEnum
from typing import ClassVar

import attr
from labgrid.driver import Driver
from labgrid.factory import target_factory
from labgrid.protocol import PowerProtocol
from labgrid.resource.common import NetworkResource
from labgrid.step import step
from labgrid.strategy import Strategy, never_retry

from particle_dev.device.selftest import SelfTestSession, SerialSelfTestLink
from particle_dev.device.selftest_plan import SelfTestPlan, plan_for
from particle_dev.device.selftest_runner import SelfTestRun, Verdict, run_plan
from particle_dev.device.swd import SwdSession, swd_session
from particle_dev.errors import BenchError, DeviceModeError
from particle_dev.permissions import NOTHING, Permissions
from particle_dev.station.labgrid_bench import PROBE_KIND, SERIAL_KIND, serial_url
from particle_dev.transport.clock import SystemClock
from particle_dev.transport.serial import PyserialHost

DEFAULT_BAUD = 115_200

__all__ = ["ParticleBoardDriver", "ParticleProbe", "ParticleStrategy", "Status"]


@target_factory.reg_resource
@attr.s(eq=False)
class ParticleProbe(NetworkResource):
    """A debug probe behind pyOCD's probe server, ``pyocd server`` or a virtual board's. ``port`` is its TCP port."""

    port = attr.ib(validator=attr.validators.instance_of(int))


@target_factory.reg_driver
@attr.s(eq=False)
class ParticleBoardDriver(Driver):
    """A board by its serial line, its probe, or both. Methods raise BenchError for what the place does not have."""

    bindings: ClassVar = {"port": {SERIAL_KIND, None}, "probe": {PROBE_KIND, None}}
    baud = attr.ib(default=DEFAULT_BAUD, validator=attr.validators.instance_of(int))

    @Driver.check_active
    @contextmanager
    def selftest(self, permissions: Permissions = NOTHING) -> Iterator[SelfTestSession]:
        """A session with the board's self-test service. Raises TransportError and what the session raises."""
        url = self.port and serial_url(SERIAL_KIND, attr.asdict(self.port, recurse=False))
        if not url:
            raise BenchError("the place has no serial port", hint=f"export a {SERIAL_KIND}")
        clock = SystemClock()
        with (
            closing(PyserialHost().open(url, self.baud)) as link,
            SelfTestSession(SerialSelfTestLink(link, clock), clock, permissions) as session,
        ):
            yield session

    @Driver.check_active
    @step()
    def run_selftest(self, plan: SelfTestPlan | None = None) -> SelfTestRun:
        """The tests of a plan, or all that stay offline, with their verdict; nothing here connects."""
        with self.selftest() as session:
            tests = session.describe()
            return run_plan(session, plan or plan_for(tests), tests, SystemClock(), lambda _result: None)

    @Driver.check_active
    @contextmanager
    def swd(self) -> Iterator[SwdSession]:
        """The board behind its probe, with its core halted: none of its firmware runs."""
        if not self.probe:
            raise BenchError("the place has no debug probe", hint=f"export a {PROBE_KIND}")
        with swd_session(f"remote:{self.probe.host}:{self.probe.port}") as session:
            yield session


class Status(StrEnum):
    """What a strategy has made of a board."""

    UNKNOWN = "unknown"
    OFF = "off"
    HALTED = "halted"
    TESTED = "tested"


@target_factory.reg_driver
@attr.s(eq=False)
class ParticleStrategy(Strategy):
    """``off``: without power, where the place has a power driver. ``halted``: a probe holds the core, so nothing can
    connect. ``tested``: every self-test that stays offline has passed. None of them lets a board connect."""

    bindings: ClassVar = {"board": ParticleBoardDriver, "power": {PowerProtocol, None}}
    status = attr.ib(default=Status.UNKNOWN, converter=Status)

    @never_retry
    @step(args=["status"])
    def transition(self, status: Status | str) -> None:
        """Bring the board there. Raises BenchError where the place lacks what it takes, DeviceModeError where a
        self-test did not pass, and what the links raise; after that the strategy stays broken, as labgrid's do."""
        wanted = Status(status)
        if wanted is Status.OFF:
            if not self.power:
                raise BenchError("the place has no power driver", hint="give it one, or leave the board on")
            self.target.activate(self.power)
            self.power.off()
        elif wanted is not Status.UNKNOWN:
            if self.power and self.status is Status.OFF:
                self.target.activate(self.power)
                self.power.on()
            self.target.activate(self.board)
            if wanted is Status.HALTED:
                with self.board.swd() as session:
                    session.identity()
            else:
                self._pass_selftest()
        self.status = wanted

    def _pass_selftest(self) -> None:
        run = self.board.run_selftest()
        if run.verdict is not Verdict.PASSED:
            names = ", ".join(r.name for r in run.results if r.verdict is not Verdict.PASSED)
            raise DeviceModeError(
                f"the self-test is {run.verdict}: {names}",
                expected=str(Verdict.PASSED),
                actual=str(run.verdict),
                hint="look at the results: particle-dev selftest run --bench labgrid:PLACE",
            )
