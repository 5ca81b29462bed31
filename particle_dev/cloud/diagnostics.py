"""Device vitals: signal, session, memory, power, as a device told them last.

Source: cspell2k5/ParticleIoSDK CloudResource.swift; cloud API reference, "Device Diagnostics".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from particle_dev.cloud.api import CloudApi, PathSegment
from particle_dev.cloud.replies import JsonObject
from particle_dev.errors import CloudNotFoundError


@dataclass(frozen=True, slots=True)
class Vitals:
    """One report. ``device`` and ``service`` are trees as the cloud has them, such as
    ``device["network"]["signal"]["strength"]`` in percent."""

    device_id: str
    updated_at: datetime | None
    device: Mapping[str, Any]
    service: Mapping[str, Any]


def last_vitals(api: CloudApi, device_id: str, product_ref: str | int | None = None) -> Vitals | None:
    """The newest report, None when there is none. Scope ``devices.diagnostics:get``."""
    try:
        answer = api.get_object((*_path(device_id, product_ref), "last"))
    except CloudNotFoundError:
        return None
    found = answer.optional_object("diagnostics")
    return _vitals(found, device_id) if found and found.data else None


def vitals_between(
    api: CloudApi, device_id: str, start: datetime, end: datetime, product_ref: str | int | None = None
) -> list[Vitals]:
    """Reports of a stretch of time; the cloud keeps 30 days. Scope ``devices.diagnostics:get``."""
    query = {"start_date": start.isoformat(), "end_date": end.isoformat()}
    answer = api.get_object(_path(device_id, product_ref), query=query)
    return [_vitals(d, device_id) for d in answer.optional_objects("diagnostics")]


def refresh_vitals(api: CloudApi, device_id: str, product_ref: str | int | None = None) -> None:
    """Ask an online device for a new report, which it sends as an event. Scope ``devices.diagnostics:update``."""
    api.call("POST", (*_path(device_id, product_ref), "update"), json={}, repeatable=True)


def _path(device_id: str, product_ref: str | int | None) -> tuple[PathSegment, ...]:
    of_product: tuple[PathSegment, ...] = () if product_ref is None else ("products", product_ref)
    return ("v1", *of_product, "diagnostics", device_id)


def _vitals(data: JsonObject, device_id: str) -> Vitals:
    payload = data.optional_object("payload")
    device = payload.optional_object("device") if payload else None
    service = payload.optional_object("service") if payload else None
    return Vitals(
        device_id=data.optional_text("deviceID", "device_id") or device_id,
        updated_at=data.time("updated_at"),
        device=device.data if device else {},
        service=service.data if service else {},
    )
