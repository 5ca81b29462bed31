"""Webhooks and other integrations, of an account, a product or an organization.

Those of a product fire for all its members, claimed or not; those of an account for devices claimed to it. The same in
both places fires twice.

Source: particle-api-js 12.0.3 ``createIntegration``, ``listIntegrations``; particle-iot/docs webhooks.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from particle_dev.cloud.api import CloudApi, PathSegment
from particle_dev.cloud.replies import JsonObject, objects
from particle_dev.protocol.secret import Secret


@dataclass(frozen=True, slots=True)
class Integration:
    """One integration. ``event`` is the prefix of the names that it fires for; ``url`` can hold a key, so it hides."""

    id: str
    event: str
    integration_type: str
    url: Secret[str] | None
    disabled: bool
    created_at: datetime | None
    device_id: str | None


class Integrations:
    """Integrations of a product or an organization, or with neither of the account."""

    def __init__(self, api: CloudApi, *, product_ref: str | int | None = None, organization: str | None = None) -> None:
        self._api = api
        owner: tuple[PathSegment, ...] = ()
        if product_ref is not None:
            owner = ("products", product_ref)
        elif organization is not None:
            owner = ("orgs", organization)
        self._path: tuple[PathSegment, ...] = ("v1", *owner, "integrations")

    def list(self) -> list[Integration]:
        """All of them. Scope ``integrations:list``."""
        answer = self._api.call("GET", self._path)
        return [_integration(i) for i in objects(answer, self._api.shown("GET", self._path))]

    def create_webhook(
        self,
        event: str,
        url: Secret[str],
        *,
        name: str | None = None,
        headers: Mapping[str, str | Secret[str]] | None = None,
    ) -> Integration:
        """A webhook that sends events as JSON by POST. Scope ``integrations:create``.

        Its body names event, data, device and time, and repeats ``published_at``, which tells duplicates apart.
        """
        body: dict[str, object] = {
            "integration_type": "Webhook",
            "event": event,
            "url": url,
            "requestType": "POST",
            "noDefaults": True,
            "json": WEBHOOK_BODY,
        }
        if name:
            body["name"] = name
        if headers:
            body["headers"] = headers
        return _integration(self._api.object_of("POST", self._path, json=body, repeatable=False))

    def remove(self, integration_id: str) -> None:
        """Remove one. Scope ``integrations:remove``."""
        self._api.call("DELETE", (*self._path, integration_id))


WEBHOOK_BODY: Mapping[str, str] = {
    "name": "{{{PARTICLE_EVENT_NAME}}}",
    "data": "{{{PARTICLE_EVENT_VALUE}}}",
    "coreid": "{{{PARTICLE_DEVICE_ID}}}",
    "published_at": "{{{PARTICLE_PUBLISHED_AT}}}",
    "version": "{{{PRODUCT_VERSION}}}",
}
"""What a webhook sends. Source: particle-iot/docs webhooks.md, "Variable substitution"."""


def _integration(data: JsonObject) -> Integration:
    return Integration(
        id=data.text("id"),
        event=data.text("event"),
        integration_type=data.optional_text("integration_type") or "Webhook",
        url=data.optional_secret("url"),
        disabled=data.flag("disabled"),
        created_at=data.time("created_at"),
        device_id=data.optional_text("deviceid", "deviceID"),
    )
