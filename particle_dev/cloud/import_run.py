"""Carries an import out: asks in batches, compares every answer with what was asked, reads back, waits for SIMs.

Running the same again is safe at any moment: members are not asked for again, and what was asked without an answer is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import NamedTuple, TypeVar

from particle_dev.cloud.import_plan import ImportPlan, Member, Roll, disagreement_with
from particle_dev.cloud.import_report import BadEntry, ImportReport, Outcome
from particle_dev.cloud.import_sims import Present, SimWatch
from particle_dev.cloud.import_state import ImportState
from particle_dev.cloud.order_file import Order, OrderEntry
from particle_dev.cloud.product_devices import ProductDevices
from particle_dev.cloud.records import ImportResult, Product
from particle_dev.cloud.sims import Sims
from particle_dev.errors import CloudNotFoundError
from particle_dev.permissions import NOTHING, Effect, Permissions
from particle_dev.transport.base import Clock

BATCH = 500
"""Identifiers in one request: few enough that an answer comes in time, and that little is asked twice after a crash."""
SINGLE_LOOKUPS = 20
"""Up to so many devices are looked up one by one, where reading a whole product takes more requests."""
ItemT = TypeVar("ItemT")


class ImportStep(StrEnum):
    """What progress is about."""

    READ = "reading the product"
    ASK = "importing"
    READ_BACK = "reading back"
    GROUPS = "adding to groups"
    SIM_CARDS = "importing SIM cards"
    WAIT = "waiting for SIMs"


class Progress(NamedTuple):
    """How far a step is; ``total`` None: nobody knows."""

    step: ImportStep
    done: int
    total: int | None


def read_roll(
    devices: ProductDevices,
    product: Product,
    order: Order,
    progress: Callable[[Progress], None],
    step: ImportStep = ImportStep.READ,
) -> Roll:
    """Which devices of an order are in the product, from as few requests as that takes. Raises CloudError."""
    roll = Roll(order.entries)
    if _are_few(order.entries) and (product.device_count is None or product.device_count > 100 * len(order.entries)):
        roll.is_complete = False
        for number, entry in enumerate(order.entries):
            record = None
            if entry.device_id is not None:
                try:
                    record = devices.get(entry.device_id)
                except CloudNotFoundError:
                    record = None
            elif entry.serial_number is not None:
                record = devices.find_serial_number(entry.serial_number)
            if record is not None:
                roll.found[number] = Member.of(record, entry)
            progress(Progress(step, number + 1, len(order.entries)))
        return roll
    for record in devices.list(sort="deviceId"):
        roll.take(record)
        if roll.members % 100 == 0:
            progress(Progress(step, roll.members, product.device_count))
    return roll


def _are_few(entries: Sequence[OrderEntry]) -> bool:
    return len(entries) <= SINGLE_LOOKUPS and all(entry.device_id or entry.serial_number for entry in entries)


@dataclass(slots=True)
class OrderImport:
    """One import of a plan. ``explain`` says where a device is that the cloud refused, or None."""

    devices: ProductDevices
    sims: Sims
    state: ImportState
    clock: Clock
    progress: Callable[[Progress], None] = field(default=lambda _: None)
    explain: Callable[[OrderEntry], str | None] = field(default=lambda _: None)

    def run(
        self,
        plan: ImportPlan,
        permissions: Permissions = NOTHING,
        *,
        claim_user: str | None = None,
        patient: bool = False,
        groups: Sequence[str] = (),
    ) -> ImportReport:
        """Carry the plan out and tell what became of it.

        Needs ``may_bill`` unless all is there already: devices and SIMs begin to count, see
        :meth:`ImportPlan.consequences`. ``patient`` waits for slow SIMs too, up to a day. ``groups`` are added to every
        device of the order that is a member then, which needs ``may_update_devices``. Raises PermissionMissingError
        and CapacityError before anything is asked for; CloudError and ImportStateError also in between: what was done
        until then is done, and running the same again does the rest.
        """
        if not plan.changes_nothing:
            permissions.require(Effect.BILL, f"importing into product {plan.product.name}")
            plan.require_room()
        if groups:
            permissions.require(Effect.UPDATE, f"putting devices into {', '.join(groups)}")
        outcomes = self._ask(plan, permissions, claim_user)
        added = self._read_back(plan)
        # The product was read since: what a run asked for that was killed before the answer is known now.
        settled = {entry.asked.value for entry in (*plan.add, *plan.present)} & self.state.asked
        if settled:
            self.state.answer(sorted(settled))
        self._import_cards(plan, permissions)
        if groups:
            self._add_to_groups([*plan.present_members, *added], permissions, groups)
        bad = self._bad_entries(plan, added, outcomes)
        present = zip(plan.present, plan.present_members, strict=True)
        there = [Present(entry, member, member is None) for entry, member in present]
        there += [Present(e, member, True) for e, member in zip(plan.add, added, strict=True) if member is not None]
        report = ImportReport(
            added=sum(member is not None for member in added),
            present=sum(member is not None for member in plan.present_members),
            sim_cards=len(plan.sims),
            bad=tuple(bad),
            skipped=len(plan.problems),
        )
        if not plan.has_sims:
            return report
        watch = SimWatch(
            self.sims, self.state, self.clock, lambda done, total: self._tell(ImportStep.WAIT, done, total)
        )
        result = watch.wait_for(there, patient=patient)
        return replace(report, active_sims=result.active, slow_sims=result.slow, simless=result.simless)

    def _tell(self, step: ImportStep, done: int, total: int | None) -> None:
        self.progress(Progress(step, done, total))

    def _ask(self, plan: ImportPlan, permissions: Permissions, claim_user: str | None) -> dict[str, Outcome]:
        """What the cloud answered for the identifiers that were asked for, where that is not "added"."""
        outcomes: dict[str, Outcome] = {}
        asked = [entry.asked.value for entry in plan.add]
        for done, batch in _batches(asked):
            self._tell(ImportStep.ASK, done, len(asked))
            self.state.ask(batch)
            result = self.devices.import_devices(batch, permissions, claim_user=claim_user)
            self.state.answer(batch)
            outcomes |= _outcomes(result)
        if asked:
            self._tell(ImportStep.ASK, len(asked), len(asked))
        return outcomes

    def _read_back(self, plan: ImportPlan) -> list[Member | None]:
        """Members for the entries that were asked for: being among the product's devices is what counts."""
        if not plan.add:
            return []
        order = Order(plan.add, (), ())
        roll = read_roll(self.devices, plan.product, order, self.progress, ImportStep.READ_BACK)
        return [roll.found.get(number) for number in range(len(plan.add))]

    def _bad_entries(
        self, plan: ImportPlan, added: Sequence[Member | None], outcomes: Mapping[str, Outcome]
    ) -> list[BadEntry]:
        bad = []
        for entry, member in zip(plan.add, added, strict=True):
            where = None
            if member is not None:
                where = disagreement_with(member, entry, plan.platform)
                outcome = Outcome.CONTRADICTED
                if where is None:
                    continue
            else:
                told = outcomes.get(entry.asked.value, Outcome.ADDED)
                outcome = Outcome.NOT_FOUND if told in (Outcome.ADDED, Outcome.PRESENT) else told
                if outcome in (Outcome.INVALID, Outcome.NOT_MEMBER):
                    where = self.explain(entry)
            message, hint = _REASONS[outcome]
            name = entry.asked
            bad.append(BadEntry(entry, outcome, f"{name.kind.noun} {name.value}: {where or message}", hint))
        return bad

    def _add_to_groups(self, members: Sequence[Member | None], permissions: Permissions, groups: Sequence[str]) -> None:
        ids = [member.device_id for member in members if member is not None]
        for done, batch in _batches(ids):
            self._tell(ImportStep.GROUPS, done, len(ids))
            self.devices.change_groups(batch, permissions, add=groups)

    def _import_cards(self, plan: ImportPlan, permissions: Permissions) -> None:
        """SIM cards, but not those that were asked for before and are still in the cloud's queue."""
        cards = [iccid for iccid in plan.sims if iccid not in self.state.sims_asked]
        for done, batch in _batches(cards):
            self._tell(ImportStep.SIM_CARDS, done, len(cards))
            self.state.ask_sims(batch, self.clock.utc_now())
            self.sims.import_sims(batch, permissions)


_REASONS = {
    Outcome.INVALID: (
        "the cloud refuses it: it does not know it, it has another platform, or another product has it",
        "compare it with the label; if it is in another product, remove it there first",
    ),
    Outcome.NOT_MEMBER: (
        "the cloud says that this account may not have it",
        "ask whoever owns it to remove it from product and account",
    ),
    Outcome.PROTECTED: (
        "device protection is on for it",
        "whoever owns the product that protects it must put it into service mode first",
    ),
    Outcome.UNANSWERED: ("the cloud's answer does not mention it", "run the same again"),
    Outcome.NOT_FOUND: (
        "the cloud said that it is in the product, but it is not among the product's devices",
        "run the same again in a minute; if it stays so, ask Particle's support",
    ),
    Outcome.CONTRADICTED: (
        "the cloud knows it under other names",
        "it is in the product; find out which label belongs to which board",
    ),
}


def _outcomes(result: ImportResult) -> dict[str, Outcome]:
    """By identifier, without those that were added. An answer names Device IDs where serial numbers and the like were
    asked for, so these are unanswered until the product is read back."""
    told = {}
    for outcome, identifiers in (
        (Outcome.PRESENT, result.present),
        (Outcome.INVALID, result.invalid),
        (Outcome.NOT_MEMBER, result.not_member),
        (Outcome.PROTECTED, result.protected),
        (Outcome.UNANSWERED, result.unexplained),
    ):
        told.update(dict.fromkeys(identifiers, outcome))
    return told


def _batches(items: Sequence[ItemT]) -> Iterator[tuple[int, Sequence[ItemT]]]:
    """Number of items before, and the next ones."""
    for start in range(0, len(items), BATCH):
        yield start, items[start : start + BATCH]
