"""Bodies and queries."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from particle_harness.cloud.shapes.base import Paged, Shape, TextList


class TokenRequest(Shape):
    """Fields of a login."""

    grant_type: str = "password"
    username: str = ""
    password: str = ""
    client_id: str = ""
    client_secret: str = ""
    expires_in: int | None = None
    expires_at: str | None = None
    mfa_token: str = ""
    otp: str = ""
    scope: str = ""
    refresh_token: str = ""


class TeamRequest(Shape):
    """A new API user, or an invitation."""

    friendly_name: str = ""
    scopes: TextList = Field(default_factory=list)
    username: str = ""


class NewProductFields(Shape):
    """What a product is to be."""

    name: str = Field(min_length=1)
    platform_id: int = Field(ge=0, le=65535)
    description: str = ""


class NewProduct(Shape):
    """A product to make."""

    product: NewProductFields


class DevicesQuery(Paged):
    """What to look for."""

    deviceId: str = ""  # noqa: N815  # names of the API
    deviceName: str = ""  # noqa: N815
    serialNumber: str = ""  # noqa: N815
    groups: str = ""
    quarantined: bool | None = None
    sortAttr: str = ""  # noqa: N815
    sortDir: str = "desc"  # noqa: N815


class ImportRequest(Shape):
    """Ids, serial numbers, IMEIs or ICCIDs; or a file of them."""

    id: str = ""
    ids: TextList = Field(default_factory=list)
    import_sims: bool = True
    claim_user: str = ""


class RemoveRequest(Shape):
    """Whether the device must not come again."""

    deny: bool = False


class GroupsRequest(Shape):
    """Groups of several devices at once."""

    action: Literal["groups"]
    devices: TextList
    metadata: dict[str, list[str]]


class DeviceChange(Shape):
    """What to change; absent: as it is."""

    name: str | None = None
    notes: str | None = None
    signal: str | int | None = None
    development: bool | None = None
    desired_firmware_version: int | None = None
    flash: bool | None = None
    groups: TextList | None = None
    firmware_updates_forced: bool | None = None
    firmware_updates_enabled: bool | None = None


class ClaimRequest(Shape):
    """A device to claim, or a virtual one to make."""

    id: str = ""
    request_transfer: bool = False
    product_id: int = Field(default=0, ge=0, le=2**31)


class FunctionRequest(Shape):
    """The argument; ``arg`` in the documentation, ``args`` in particle-api-js."""

    args: str = ""
    arg: str = ""


class ProvisioningRequest(Shape):
    """A public key for a device."""

    publicKey: str = ""  # noqa: N815
    algorithm: str = ""


class PublishRequest(Shape):
    """An event."""

    name: str = Field(min_length=1, max_length=64)
    data: str | None = None
    private: bool = True
    ttl: int = 60


class EventsQuery(Shape):
    """What particle-api-js adds so that nothing is cached."""

    nonce: str = ""


class GroupRequest(Shape):
    """A group."""

    name: str = Field(pattern="^[a-z0-9_-]+$", max_length=64)
    description: str = ""
    color: str = ""


class SimsQuery(Paged):
    """What to look for."""

    iccid: str = ""
    deviceId: str = ""  # noqa: N815
    deviceName: str = ""  # noqa: N815


class SimAction(Shape):
    """What to do with a SIM."""

    action: Literal["activate", "deactivate", "reactivate"]
    mb_limit: int | None = Field(default=None, ge=0, le=1_000_000)
    country: str = ""


class SimImport(Shape):
    """ICCIDs."""

    sims: TextList = Field(default_factory=list)
    country: str = "US"


class FirmwareUpload(Shape):
    """Fields beside the file."""

    version: int = Field(ge=1, le=65535)
    title: str = ""
    description: str = ""


class FirmwareChange(Shape):
    """Texts."""

    title: str | None = None
    description: str | None = None


class ReleaseRequest(Shape):
    """Who gets a version."""

    version: int
    product_default: bool = False
    groups: TextList = Field(default_factory=list)
    intelligent: bool = False


class ImpactQuery(Shape):
    """A release that is thought of."""

    action: str = "edit_groups_for_firmware"
    groups: str = ""
    firmware_version: int = 0
    product_default: bool = False
    edit_groups_for_device: str = ""


class DeviceOsQuery(Paged):
    """Which platform."""

    platform_id: int | None = None
    internal_version: int | None = None


class DeviceOsVersionQuery(Shape):
    """Which platform."""

    platform_id: int | None = None
    internal_version: int | None = None


class DiagnosticsQuery(Shape):
    """A stretch of time."""

    start_date: str = ""
    end_date: str = ""


class IntegrationRequest(Shape):
    """A webhook."""

    integration_type: str = "Webhook"
    event: str = Field(min_length=1)
    url: str = Field(min_length=1)
    requestType: str = "POST"  # noqa: N815
    name: str = ""
    deviceID: str = ""  # noqa: N815
    rejectUnauthorized: bool = True  # noqa: N815
    noDefaults: bool = False  # noqa: N815


class ReportRequest(Shape):
    """What a usage report is about."""

    report_type: Literal["devices", "products"]
    date_period_start: str
    date_period_end: str
    devices: TextList = Field(default_factory=list)
    products: TextList = Field(default_factory=list)


class CustomerRequest(Shape):
    """A new customer."""

    email: str = Field(min_length=3)
    password: str = ""
    no_password: bool = False
    client_id: str = ""
    client_secret: str = ""


class ClientRequest(Shape):
    """A new OAuth client."""

    name: str = Field(min_length=1)
    type: Literal["installed", "web"] = "installed"
    redirect_uri: str = ""
    scope: str = ""


class ClientChange(Shape):
    """A new name or scope."""

    name: str | None = None
    scope: str | None = None
