"""Events of the cloud, and what a stream of them says about itself.

Delivery is at least once, out of order at times, and nothing is sent again after a break: what a stream missed has to
be read from the device records. So a consumer gets :class:`CloudEvent` and, between them, :class:`StreamGap`,
:class:`DeviceReread` and at last :class:`StreamEnded`.

Source: particle-iot/docs src/content/reference/cloud-apis/api.md, "Events"; particle-api-js 12.0.3 src/EventStream.ts.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeAlias

import msgspec

from particle_dev.cloud.api import PathSegment
from particle_dev.cloud.records import DeviceRecord
from particle_dev.errors import ParticleDevError


class CloudEvent(msgspec.Struct, frozen=True):
    """One event. ``data`` None: there was none. ``coreid`` is the Device ID, or ``api``, ``particle-internal``.

    ``published_at`` is ISO-8601 as the cloud wrote it; ``version`` and ``productID`` are those of the firmware.
    """

    name: str = ""
    data: str | None = None
    coreid: str = ""
    published_at: str = ""
    ttl: int | str | None = None
    version: int | None = None
    public: bool | None = None
    productID: int | None = None  # noqa: N815  the cloud's name
    userid: str | None = None

    @property
    def at(self) -> datetime | None:
        """``published_at`` as a time; None where it is none."""
        try:
            at = datetime.fromisoformat(self.published_at)
        except ValueError:
            return None
        return at if at.tzinfo else at.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class StreamGap:
    """Events may be missing that were published from ``since`` on. ``until`` None: it goes on; a second item tells the
    end. ``lost_here`` counts events that this consumer was too slow for."""

    since: datetime
    until: datetime | None
    reason: str
    lost_here: int = 0


@dataclass(frozen=True, slots=True)
class DeviceReread:
    """A device's record, read again after a gap: what the missed events would have told of it."""

    record: DeviceRecord


@dataclass(frozen=True, slots=True)
class StreamEnded:
    """No more events will come. ``error`` None: the stream was closed by its owner."""

    error: ParticleDevError | None


StreamItem: TypeAlias = CloudEvent | StreamGap | DeviceReread | StreamEnded

_decode = msgspec.json.Decoder(CloudEvent).decode
_set = msgspec.structs.force_setattr


def event_from_json(name: str, data: bytes) -> CloudEvent | None:
    """The event of a stream's ``event`` and ``data`` lines; None when it is no JSON of the right shape, which
    Particle's own clients pass over too."""
    try:
        event = _decode(data)
    except (msgspec.MsgspecError, RecursionError):
        return None
    # Frozen for everybody else; the JSON of a stream does not hold the name.
    _set(event, "name", name)
    return event


@dataclass(frozen=True, slots=True)
class StreamScope:
    """Whose events: those of a product (number or slug), of an organization, or with neither of the account's devices.

    ``device_id`` and ``prefix`` narrow it at the cloud. One stream without either serves a whole site.
    """

    product_ref: str | int | None = None
    organization: str | None = None
    device_id: str | None = None
    prefix: str | None = None

    def path(self) -> tuple[PathSegment, ...]:
        """Where the cloud has this stream."""
        owner: tuple[PathSegment, ...] = ()
        if self.organization is not None:
            owner = ("orgs", self.organization)
        if self.product_ref is not None:
            owner = (*owner, "products", self.product_ref)
        if self.device_id is not None:
            owner = (*owner, "devices", self.device_id)
        elif not owner:
            owner = ("devices",)
        return ("v1", *owner, "events", *((self.prefix,) if self.prefix else ()))

    def __str__(self) -> str:
        if self.product_ref is not None:
            return f"product {self.product_ref}"
        return f"organization {self.organization}" if self.organization is not None else "this account's devices"
