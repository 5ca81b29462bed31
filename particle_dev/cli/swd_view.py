"""What ``particle-dev swd flash`` and ``restore`` print."""

from __future__ import annotations

import json
import sys

import click

from particle_dev.flash.swd_execute import BackupTaken, PieceProven, SwdEvent
from particle_dev.flash.swd_plan import Method, SwdPlan


class SwdView:
    """A plan, its progress (on a terminal only, on standard error) and its result, as text or JSON."""

    def __init__(self, plan: SwdPlan, *, as_json: bool) -> None:
        self._plan = plan
        self._as_json = as_json
        self._proven: list[PieceProven] = []
        self._backup: BackupTaken | None = None

    def print_plan(self) -> None:
        """The plan, which is not carried out."""
        plan = self._plan
        if self._as_json:
            click.echo(json.dumps(self._plan_object()))
            return
        for number, line in enumerate(plan.lines(), 1):
            click.echo(f"{number}. {line}")
        needs = ", ".join(plan.permissions_needed)
        click.echo(
            f"method: {plan.method}; about {plan.expected_duration_s:.1f} s" + (f"; needs {needs}" * bool(needs))
        )

    def take(self, event: SwdEvent) -> None:
        """Something happened."""
        if isinstance(event, PieceProven):
            self._proven.append(event)
        elif isinstance(event, BackupTaken):
            self._backup = event

    def progress(self, share: float) -> None:
        """A line that is written over itself."""
        if sys.stderr.isatty():
            click.echo(f"\rwrite {share * 100:3.0f} %", err=True, nl=share == 1.0)

    def print_result(self, left: str, proves: str | None) -> None:
        """What was done, what proves it, and how the board is left."""
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
            click.echo(json.dumps({**self._plan_object(), "proven": pieces, "left": left, "left_proves": proves}))
            return
        for piece in self._proven:
            click.echo(f"{piece.name}: {piece.size_bytes} bytes at 0x{piece.address:08x}; {piece.evidence}")
        wrote = "nothing had to be written" if plan.method is Method.NOTHING else f"{plan.size_bytes} bytes written"
        click.echo(f"{plan.device_id}: {wrote} (method: {plan.method})")
        click.echo(f"left {left}; {proves}" if proves else "the application runs now and may connect")

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
        }
