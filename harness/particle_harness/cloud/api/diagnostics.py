"""Vitals of devices."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from particle_harness.cloud.api.lookup import device_of
from particle_harness.cloud.clock import iso
from particle_harness.cloud.errors import ApiError, bad_request, not_found
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
    errors=(400, 403, 404),
)
def all_vitals(call: Call) -> dict[str, Any]:
    """Tell vitals of a stretch of time."""
    rows = call.cloud.store.find(Diagnostics, device_id=device_of(call).id)
    since_s, until_s = _posix_s(call.query.start_date, 0.0), _posix_s(call.query.end_date, call.cloud.now_s())
    return {"diagnostics": [_vitals(row) for row in rows if since_s <= row.at <= until_s]}


def _posix_s(text: str, otherwise: float) -> float:
    if not text:
        return otherwise
    try:
        at = datetime.fromisoformat(text)
    except ValueError as error:
        raise bad_request(f"{text!r} is no date") from error
    return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()


def _vitals(row: Diagnostics) -> dict[str, Any]:
    return {"updated_at": iso(row.at) or "", "deviceID": row.device_id, "payload": row.payload}
