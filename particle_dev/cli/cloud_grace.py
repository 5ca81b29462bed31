"""``particle-dev cloud devices grace``."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import click

from particle_dev.cli.options import json_option
from particle_dev.cli.output import count, print_json, print_table, print_text
from particle_dev.cli.records_option import site_folder, site_option
from particle_dev.cloud.device_state import DeviceState, DeviceStates, Stage
from particle_dev.cloud.grace import Counting, billing_month_start, counts_in_month
from particle_dev.cloud.plans import PLANS, Plan, PlanName
from particle_dev.errors import GuardStateError
from particle_dev.station.guard_setup import DEVICES_NAME
from particle_dev.transport.clock import SystemClock


@dataclass(frozen=True, slots=True)
class _Line:
    """``this_month``: whether it counts in the present billing month, as far as the site knows."""

    device_id: str
    stage: Stage
    first_connected_at: datetime
    billing_end: datetime
    calendar_end: datetime
    warn: bool
    this_month: Counting


@click.command("grace")
@site_option
@click.option("--plan", "plan_name", type=click.Choice([str(n) for n in PlanName]), required=True, help="Of who pays.")
@click.option("--first-day", type=click.IntRange(1, 31), default=1, show_default=True, help="Of billing months.")
@json_option
def grace(site_dir: Path | None, plan_name: str, first_day: int, as_json: bool) -> None:
    """List the devices of this site that were online once, and until when the plan's grace lasts for each.

    The six months of enterprise plans are documented in two ways, so both ends are told; rely on the earlier one. Asks
    no cloud: what connected elsewhere is not known here.
    """
    path = site_folder(site_dir) / DEVICES_NAME
    if not path.is_file():
        raise GuardStateError(
            f"{path} is not there: nothing is known of any device",
            path=str(path),
            hint="name the folder that the stations write to with --site",
        )
    now = SystemClock().utc_now()
    lines = list(_lines(DeviceStates(path), PLANS[PlanName(plan_name)], now, first_day))
    if as_json:
        print_json(lines)
        return
    print_table(
        ("device", "stage", "first connection", "billing months to", "calendar months to", "this month"),
        [(i.device_id, i.stage, i.first_connected_at, i.billing_end, i.calendar_end, i.this_month) for i in lines],
        empty="no device of this site was online and may still count",
    )
    warned = sum(i.warn for i in lines)
    if warned:
        print_text(
            f"grace of {count(warned, 'device')} ends soon or has ended: sell, or retire what stays on the shelf"
        )


def _lines(states: DeviceStates, plan: Plan, now: datetime, first_day: int) -> Iterator[_Line]:
    """Those that may count, the first to run out first."""
    known = [s for s in states.states().values() if s.stage(plan) is not Stage.NOT_BILLABLE]
    dated = [(end, s) for s in known if (end := s.grace(plan, first_day)) is not None]
    for end, state in sorted(dated, key=lambda pair: (pair[0].end, pair[1].device_id)):
        month = _this_month(state, plan, now, first_day)
        yield _Line(
            state.device_id,
            state.stage(plan),
            end.since,
            end.billing_end,
            end.calendar_end,
            now >= end.warn_at,
            month,
        )


def _this_month(state: DeviceState, plan: Plan, now: datetime, first_day: int) -> Counting:
    first = state.first_connected_at
    is_first_month = first is not None and first >= billing_month_start(now, first_day)
    # Out of the product it counts until its SIM is released; what connected without joining may be anybody's.
    is_member = True if state.product is not None or state.removed_at is not None else None
    return counts_in_month(
        plan,
        now,
        is_member=is_member,
        first_connected_at=first,
        # Later connections are not remembered.
        connected_in_month=True if is_first_month else None,
        first_day=first_day,
    )
