"""What an account has used in its billing period, as its service agreement tells it, for budgets."""

from __future__ import annotations

import threading

from particle_dev.cloud.api import CloudApi
from particle_dev.cloud.budget import Budget, Cost
from particle_dev.cloud.usage import ServiceAgreement, service_agreements
from particle_dev.errors import BudgetError, CloudRefusedError

REFRESH_S = 600.0
"""So long one answer is good: every unit of a tray asks, and the cloud counts late anyway."""
_BYTES = {"KB": 1_000, "MB": 1_000_000, "GB": 1_000_000_000}
"""By the unit in which an agreement states its limit; how the cloud rounds is not documented."""


class AccountUsage:
    """The agreement of an organization (id or slug), or of the user. Callable by all slots; one request each
    ``REFRESH_S``. Scope ``service_agreements:list``.

    ``plan`` is the budget of the plan by its public numbers, for limits that the agreement does not tell.
    """

    def __init__(self, api: CloudApi, organization: str | None, plan: Budget) -> None:
        self._api = api
        self._organization = organization
        self._plan = plan
        self._lock = threading.Lock()
        self._read_at_s: float | None = None
        self._budget = plan

    def __call__(self) -> Budget:
        """Limits, and what is used of them. Raises BudgetError when the plan has limits and nobody may read what is
        used; CloudError, TransportError."""
        with self._lock:
            now_s = self._api.clock.monotonic_s()
            if self._read_at_s is None or now_s - self._read_at_s > REFRESH_S:
                self._budget = self._read()
                self._read_at_s = now_s
            return self._budget

    def _read(self) -> Budget:
        try:
            agreements = service_agreements(self._api, self._organization)
        except CloudRefusedError as error:
            return self._unknown(error.message)
        if len(agreements) != 1:
            return self._unknown(f"it has {len(agreements)} service agreements")
        used = agreements[0].used()
        if used is None or used.device_messages is None or used.device_data_mb is None:
            return self._unknown("its service agreement does not tell")
        spent = Cost(used.device_messages, round(used.device_data_mb * 1_000_000))
        return Budget(*_limits(agreements[0], self._plan), spent)

    def _unknown(self, reason: str) -> Budget:
        limits = (self._plan.max_operations, self._plan.max_cellular_bytes)
        if limits == (None, None):
            return self._plan  # A contract: there is nothing to compare with.
        raise BudgetError(
            f"what the account has used this month is not known: {reason}",
            resource="data operations",
            spent=0,
            wanted=0,
            limit=limits[0] or 0,
            hint="give a token that may read it (scope service_agreements:list), or look the usage up in the console",
        )


def _limits(agreement: ServiceAgreement, plan: Budget) -> tuple[int | None, int | None]:
    operations = agreement.max_messages if agreement.max_messages is not None else plan.max_operations
    unit = _BYTES.get((agreement.max_data_unit or "").upper())
    if agreement.max_data is None or unit is None:
        return operations, plan.max_cellular_bytes
    return operations, round(agreement.max_data * unit)
