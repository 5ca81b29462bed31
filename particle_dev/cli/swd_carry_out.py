"""How ``particle-dev swd flash`` and ``restore`` carry a plan out: journalled, and told about when it is cut short."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from particle_dev.cli.endings import ended_as_by_ctrl_c
from particle_dev.cli.swd_view import SwdView
from particle_dev.device.swd import SwdSession
from particle_dev.errors import ParticleDevError
from particle_dev.flash.swd_backup import SwdBackup
from particle_dev.flash.swd_execute import carry_out_swd
from particle_dev.flash.swd_plan import Method, SwdPlan
from particle_dev.flash.swd_progress import SwdProgress
from particle_dev.permissions import Permissions
from particle_dev.station.act_journal import ActJournal


def carry_out_told(
    session: SwdSession,
    plan: SwdPlan,
    permissions: Permissions,
    *,
    act: str,
    journal: ActJournal,
    backup: SwdBackup,
    view: SwdView,
    read_back: bool = False,
) -> None:
    """Carry ``plan`` out. What ends it early, Ctrl-C and SIGTERM too, is raised with the state of the board and with
    what to type; the journal has both ends of the act. Raises as :func:`carry_out_swd`, JournalError,
    KeyboardInterrupt."""
    plan.require(permissions)
    progress = SwdProgress(plan)

    def work() -> None:
        for event in carry_out_swd(
            session,
            plan,
            permissions=permissions,
            save_backup=backup.save,
            read_back=read_back,
            progress=view.progress,
        ):
            progress.take(event)
            view.take(event)

    try:
        with ended_as_by_ctrl_c():
            if plan.method is Method.NOTHING:
                work()
            else:
                with _journalled(session, progress, act, journal):
                    work()
    except ParticleDevError as error:
        view.end_line()
        error.message = f"{error.message}; {plan.device_id}: {progress.left()}"
        error.hint = "; ".join(filter(None, (error.hint, progress.next_step() if progress.changed else "")))
        raise
    except KeyboardInterrupt as error:
        view.end_line()
        raise KeyboardInterrupt(f"{plan.device_id}: {progress.left()}", progress.next_step()) from error
    backup.drop()


@contextmanager
def _journalled(session: SwdSession, progress: SwdProgress, act: str, journal: ActJournal) -> Iterator[None]:
    plan = progress.plan
    before = {
        "method": str(plan.method),
        "permissions": [str(effect) for effect in plan.permissions_needed],
        "pieces": [segment.title for segment in plan.segments],
    }
    with journal.act(act, probe=session.link.where, device_id=plan.device_id, permission=None, before=before) as result:
        try:
            yield
        finally:
            result |= {"changed": progress.changed, "whole": progress.whole, "backup": progress.backup}
