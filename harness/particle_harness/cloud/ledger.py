"""The metering ledger: the truth about billing that a guard's verdict is held against.

Product code has no way to it but the usage that its API tells.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from particle_harness.cloud.clock import month_of
from particle_harness.cloud.rules import metering as rules
from particle_harness.cloud.rules.metering import Counted, Plan
from particle_harness.cloud.store import Store
from particle_harness.cloud.tables import Account, Device, LedgerEntry, Metering, Org, Product, Sim, Usage


class Ledger:
    """``now_s()`` gives POSIX seconds."""

    def __init__(self, store: Store, now_s: Callable[[], float]) -> None:
        self._store = store
        self._now_s = now_s

    # -- what tests ask --------------------------------------------------------------------------------------------

    def metered(self, device_id: str) -> bool:
        """Whether metering has ever started: it counts, or has counted, for somebody, or has been online at all.

        Under the free plan a device counts as soon as it is added; see :meth:`has_connected` for the other half.
        """
        row = self._row(device_id)
        return row.started_at is not None or row.first_connected_at is not None

    def has_connected(self, device_id: str) -> bool:
        """Whether the device has ever been online, in any account."""
        return self._row(device_id).first_connected_at is not None

    def first_connected_at(self, device_id: str) -> float | None:
        """POSIX seconds of the first handshake ever."""
        return self._row(device_id).first_connected_at

    def counts_now(self, device_id: str) -> bool:
        """Whether it counts for its payer in the present month."""
        return self._counts(self._row(device_id), month_of(self._now_s()), False)

    def metered_devices(self) -> tuple[str, ...]:
        """Device ids of :meth:`metered`, sorted."""
        rows = self._store.select(Metering, "started_at IS NOT NULL OR first_connected_at IS NOT NULL")
        return tuple(row.device_id for row in rows)

    def entries(self, device_id: str | None = None) -> Sequence[LedgerEntry]:
        """Lines of the ledger, of one device or all."""
        equal = {} if device_id is None else {"device_id": device_id.lower()}
        return tuple(self._store.find(LedgerEntry, **equal))

    def billable(self, payer: str, month: str, *, calendar_months: bool = False) -> tuple[str, ...]:
        """Devices that count for ``payer`` in ``month`` (``YYYY-MM``)."""
        rows = self._store.find(Metering, payer=payer)
        return tuple(row.device_id for row in rows if self._counts(row, month, calendar_months))

    # -- what happens ----------------------------------------------------------------------------------------------

    def payer_of(self, device: Device) -> tuple[str, Plan | None]:
        """Who pays for a device, and by which plan; nobody for one without product and owner."""
        product = self._store.get(Product, device.product_id) if device.product_id else None
        return self.payer_of_product(product) if product else self.payer_of_account(device.owner_id)

    def payer_of_product(self, product: Product) -> tuple[str, Plan | None]:
        """An organization, or the user who made the product."""
        org = self._store.get(Org, product.org_id) if product.org_id else None
        return (f"org:{org.id}", Plan(org.plan)) if org else self.payer_of_account(product.owner_id)

    def payer_of_account(self, account_id: str) -> tuple[str, Plan | None]:
        """A user's sandbox; a customer's devices outside of a product are nobody's."""
        account = self._store.get(Account, account_id) if account_id else None
        return (f"account:{account.id}", Plan(account.plan)) if account else ("", None)

    def added(self, device: Device, cause: str) -> None:
        """The device is in a product or an account now, or in another one."""
        payer, plan = self.payer_of(device)
        row = self._row(device.id)
        if plan is None:
            return
        if row.payer != payer:
            row.added_at = self._now_s()
        row.payer, row.plan, row.ended_at, row.sim_held = payer, plan, None, False
        self._write(row, "added", cause)
        has_begun = rules.starts_when_added(plan) or row.first_connected_at is not None
        if has_begun and row.started_at is None:
            row.started_at = self._now_s()
            self._write(row, "metering started", cause)
        self._store.put(row)

    def connected(self, device: Device, cause: str) -> None:
        """The device has finished a handshake."""
        row = self._row(device.id)
        now_s = self._now_s()
        if row.first_connected_at is None:
            row.first_connected_at = now_s
            self._write(row, "first connection", cause)
        if row.started_at is None and row.payer:
            row.started_at = now_s
            self._write(row, "metering started", cause)
        month = month_of(now_s)
        if month not in row.months_connected:
            row.months_connected = [*row.months_connected, month]
        self._store.put(row)

    def removed(self, device: Device, cause: str) -> None:
        """The device has left its product or account. Where its SIM is still owned, it goes on counting."""
        row = self._row(device.id)
        if not row.payer:
            return
        sim = self._store.get(Sim, device.iccid) if device.iccid else None
        held = sim is not None and bool(sim.owner_product or sim.owner_account) and row.plan != Plan.FREE
        self._write(row, "removed", cause + (" (its SIM is still owned)" if held else ""))
        row.sim_held = held
        self._end(row, cause, held)

    def sim_released(self, sim: Sim) -> None:
        """Nobody owns the SIM any more."""
        row = self._row(sim.device_id) if sim.device_id else None
        if row is not None and row.sim_held:
            row.sim_held = False
            self._end(row, "SIM released", False)

    # -- usage -----------------------------------------------------------------------------------------------------

    def use(self, device: Device, *, data_operations: int = 0, cellular_bytes: int = 0) -> None:
        """Add to the month of whoever pays."""
        payer, _ = self.payer_of(device)
        if payer:
            usage = self.usage(payer)
            usage.data_operations += data_operations
            usage.cellular_bytes += cellular_bytes
            self._store.put(usage)

    def usage(self, payer: str) -> Usage:
        """The present month of a payer."""
        month = month_of(self._now_s())
        key = f"{payer}:{month}"
        return self._store.get(Usage, key) or Usage(key, payer, month)

    def is_paused(self, device: Device) -> bool:
        """Whether its payer's allowance is used up."""
        payer, plan = self.payer_of(device)
        if plan is None:
            return False
        usage = self.usage(payer)
        return rules.is_paused(plan, usage.data_operations, usage.cellular_bytes)

    def counted(self, payer: str) -> int:
        """Devices of a payer that are in an account or product now."""
        return self._store.count(Metering, "payer = ? AND ended_at IS NULL", (payer,))

    # -- inside ----------------------------------------------------------------------------------------------------

    def _row(self, device_id: str) -> Metering:
        device_id = device_id.lower()
        return self._store.get(Metering, device_id) or Metering(device_id)

    def _end(self, row: Metering, cause: str, held: bool) -> None:
        if not held:
            row.ended_at = self._now_s()
            if row.started_at is not None:
                self._write(row, "stops counting", cause)
        self._store.put(row)

    def _counts(self, row: Metering, month: str, calendar_months: bool) -> bool:
        if not row.payer:
            return False
        months: list[Any] = [None if at is None else month_of(at) for at in (row.added_at, row.first_connected_at)]
        ended = None if row.ended_at is None else month_of(row.ended_at)
        counted = Counted(Plan(row.plan), months[0], months[1], ended, tuple(row.months_connected))
        return rules.counts_in(month, counted, calendar_months=calendar_months)

    def _write(self, row: Metering, event: str, cause: str) -> None:
        number = self._store.next_number(LedgerEntry)
        self._store.put(LedgerEntry(number, self._now_s(), row.device_id, row.payer, row.plan, event, cause))
