"""Vitals of devices."""

from __future__ import annotations

from typing import Any

from particle_harness.cloud.api.lookup import device_of
from particle_harness.cloud.clock import iso
from particle_harness.cloud.errors import ApiError, not_found
from particle_harness.cloud.routes import Call, Routes
from particle_harness.cloud.shapes import (
    DiagnosticsAnswer,
    DiagnosticsQuery,
    Shape,
)
from particle_harness.cloud.tables import (
    Diagnostics,
)

ROUTES = Routes()

_VITALS = ("/v1/diagnostics/<device>", "/v1/products/<product>/diagnostics/<device>")


@ROUTES.add(
    "POST",
    *(f"{path}/update" for path in _VITALS),
    scope="devices.diagnostics:update",
    body=Shape,
    answer=dict[str, Any],
    errors=(403, 404),
)
def refresh(call: Call) -> dict[str, Any]:
    """Ask a device for its vitals, which come as an event."""
    device = device_of(call)
    if not device.online:
        raise ApiError(404, "Device is not connected")
    call.cloud.network.send(device.id, "diagnostics")
    return {"ok": True}


@ROUTES.add(
    "GET",
    *(f"{path}/last" for path in _VITALS),
    scope="devices.diagnostics:get",
    answer=DiagnosticsAnswer,
    errors=(403, 404),
)
def last_vitals(call: Call) -> dict[str, Any]:
    """Tell the newest vitals; 404 for a device that never sent any."""
    found = list(call.cloud.store.find(Diagnostics, device_id=device_of(call).id))
    if not found:
        raise not_found("Diagnostics")
    return {"diagnostics": _vitals(found[-1])}


@ROUTES.add(
    "GET",
    *_VITALS,
    scope="devices.diagnostics:get",
    query=DiagnosticsQuery,
    answer=DiagnosticsAnswer,
    errors=(403, 404),
)
def all_vitals(call: Call) -> dict[str, Any]:
    """Tell vitals of a stretch of time."""
    found = (_vitals(row) for row in call.cloud.store.find(Diagnostics, device_id=device_of(call).id))
    query = call.query
    kept = [v for v in found if v["updated_at"] >= query.start_date and v["updated_at"] <= (query.end_date or "9")]
    return {"diagnostics": kept}


def _vitals(row: Diagnostics) -> dict[str, Any]:
    return {"updated_at": iso(row.at) or "", "deviceID": row.device_id, "payload": row.payload}
