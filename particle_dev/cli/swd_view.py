"""What ``particle-dev swd flash`` and ``restore`` print."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass

import click

from particle_dev.cli.exit_codes import ExitCode
from particle_dev.cli.wrap import wrapped
from particle_dev.device.swd import Park, SwdSession
from particle_dev.flash.swd_execute import PieceProven, SwdEvent
from particle_dev.flash.swd_plan import Method, SwdPlan
from particle_dev.permissions import Effect, Permissions


@dataclass(frozen=True, slots=True)
class Left:
    """How a board is left. ``proves``: what that means for billing, None when the application runs. ``port_closed``:
    None unless the plan has written a lock; whether the port was seen closed."""

    name: str
    proves: str | None
    port_closed: bool | None = None

    @classmethod
    def of(cls, session: SwdSession, plan: SwdPlan, park: Park, run: Permissions | None) -> Left:
        """Park the board or, with ``run``, let its application run: **it may connect**."""
        closing = Effect.LOCK in plan.permissions_needed
        if run is not None:
            session.run(run, closing=closing)
            return cls("running", None, session.link.port_is_locked() if closing else None)
        if closing:
            return cls(str(park), *session.leave_closing(park))
        return cls(str(park), session.park(park))


class SwdView:
    """A plan, its progress (on a terminal only, on standard error) and its result, as text or JSON."""

    def __init__(self, plan: SwdPlan, *, as_json: bool, left_out: tuple[str, ...] = ()) -> None:
        self._plan = plan
        self._left_out = left_out
        self._as_json = as_json
        self._proven: list[PieceProven] = []
        self._line_is_open = False

    def print_plan(self) -> None:
        """The plan, which is not carried out."""
        plan = self._plan
        if self._as_json:
            click.echo(json.dumps(self._plan_object()))
            return
        for number, line in enumerate(plan.lines(), 1):
            click.echo(wrapped(f"{number}. {line}", sys.stdout, 3))
        needs = ", ".join(plan.permissions_needed)
        click.echo(
            f"method: {plan.method}; about {plan.expected_duration_s:.1f} s" + (f"; needs {needs}" * bool(needs))
        )

    def take(self, event: SwdEvent) -> None:
        """Something happened."""
        if isinstance(event, PieceProven):
            self._proven.append(event)

    def progress(self, share: float) -> None:
        """A line that is written over itself."""
        if sys.stderr.isatty():
            click.echo(f"\rwrite {share * 100:3.0f} %", err=True, nl=share == 1.0)
            self._line_is_open = share != 1.0

    def end_line(self) -> None:
        """What comes next begins a line."""
        if self._line_is_open:
            click.echo(err=True)
            self._line_is_open = False

    def print_result(self, left: Left) -> None:
        """What was done, what proves it, and how the board is left. Exit status 6 for a lock that was written and that
        is not proven to be in force, and for modules that a probe does not reach."""
        plan = self._plan
        if self._as_json:
            pieces = [
                {
                    "name": p.name,
                    "address": p.address,
                    "size_bytes": p.size_bytes,
                    "sha256": p.sha256,
                    "evidence": p.evidence,
                }
                for p in self._proven
            ]
            how = {"left": left.name, "left_proves": left.proves, "port_closed": left.port_closed}
            click.echo(json.dumps({**self._plan_object(), "proven": pieces, **how}))
            end_unless_whole(self._left_out)
            _exit_unless_closed(left)
            return
        for piece in self._proven:
            click.echo(piece.name)
            click.echo(wrapped(f"  {piece.size_bytes} bytes at 0x{piece.address:08x}; {piece.evidence}", sys.stdout, 4))
        wrote = f"{plan.size_bytes} bytes written (method: {plan.method})"
        click.echo(f"{plan.device_id}: {'nothing to write' if plan.method is Method.NOTHING else wrote}")
        stays = f"left {left.name}: {left.proves}" if left.proves else "the application runs now and may connect"
        click.echo(wrapped(stays, sys.stdout))
        if left.port_closed is not None:
            closed = "is closed, as its control access port says" if left.port_closed else "closes at the next reset"
            click.echo(f"the debug port {closed}")
        end_unless_whole(self._left_out)
        _exit_unless_closed(left)

    def _plan_object(self) -> dict[str, object]:
        plan = self._plan
        return {
            "device_id": plan.device_id,
            "platform": plan.platform.name,
            "method": str(plan.method),
            "steps": plan.lines(),
            "size_bytes": plan.size_bytes,
            "permissions_needed": [str(effect) for effect in plan.permissions_needed],
            "expected_duration_s": round(plan.expected_duration_s, 2),
            "left_out": self._left_out,
        }


def end_unless_whole(left_out: tuple[str, ...]) -> None:
    """Exit status 6 when something of the set lies where a probe does not write."""
    for title in left_out:
        told = f"not written: {title}; a probe does not reach it: `particle-dev flash` installs it over USB"
        click.echo(wrapped(told, sys.stderr), err=True)
    if left_out:
        raise SystemExit(ExitCode.INCOMPLETE)


def _exit_unless_closed(left: Left) -> None:
    if left.port_closed is False:
        raise SystemExit(ExitCode.INCOMPLETE)
