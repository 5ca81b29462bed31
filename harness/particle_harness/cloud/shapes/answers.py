"""What a good answer looks like."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from particle_harness.cloud.shapes.base import Ok, Shape


class ErrorBody(Shape):
    """Every refusal."""

    ok: bool = False
    error: str | None = None
    error_description: str | None = None


class TokenAnswer(Shape):
    """An access token."""

    token_type: Literal["bearer"]
    access_token: str
    expires_in: int
    refresh_token: str


class CurrentToken(Shape):
    """About the token that asks."""

    expires_at: str | None
    client: str
    scopes: list[str]
    orgs: list[dict[str, Any]]


class UserAnswer(Shape):
    """About the user that asks."""

    username: str
    subscription_ids: list[Any]
    account_info: dict[str, Any]
    mfa: dict[str, Any]


class Identity(Shape):
    """Id and mail address."""

    id: str
    email: str


class OrgList(Shape):
    """Organizations."""

    organizations: list[dict[str, Any]]


class TeamCreated(Ok):
    """Who was added."""

    created: dict[str, Any]


class Team(Shape):
    """Members."""

    team: list[dict[str, Any]]


class ProductRecord(Shape):
    """A product."""

    id: int
    platform_id: int
    name: str
    slug: str
    description: str
    groups: list[str]
    settings: dict[str, Any]


class ProductList(Shape):
    """Products."""

    products: list[ProductRecord]


class ProductAnswer(Shape):
    """One product."""

    product: ProductRecord


class DeviceRecord(Shape):
    """A device. Fields that do not apply are absent."""

    id: str
    name: str | None
    notes: str | None
    platform_id: int
    product_id: int
    online: bool
    connected: bool
    last_heard: str | None
    last_handshake_at: str | None
    status: str
    functions: list[str] | None = None
    variables: dict[str, str] | None = None
    groups: list[str] = Field(default_factory=list)
    development: bool = False
    quarantined: bool = False
    denied: bool = False
    firmware_version: int | None = None
    desired_firmware_version: int | None = None


class DevicesPage(Shape):
    """A page of a product's devices."""

    devices: list[DeviceRecord]
    customers: list[dict[str, Any]]
    meta: dict[str, Any]


class ImportAnswer(Shape):
    """What became of each."""

    updated: int
    updatedDeviceIds: list[str]  # noqa: N815
    existingDeviceIds: list[str]  # noqa: N815
    nonmemberDeviceIds: list[str]  # noqa: N815
    invalidDeviceIds: list[str]  # noqa: N815


class FunctionAnswer(Shape):
    """What the function returned."""

    id: str
    name: str | None
    connected: bool
    return_value: int


class VariableAnswer(Shape):
    """What the variable held."""

    name: str
    result: Any
    coreInfo: dict[str, Any]  # noqa: N815


class PingAnswer(Ok):
    """Whether the device answered."""

    online: bool


class SerialAnswer(Ok):
    """The device behind a serial number."""

    device_id: str
    platform_id: int


class ClaimCodeAnswer(Shape):
    """A code, and what is claimed already."""

    claim_code: str
    device_ids: list[str]


class GroupAnswer(Shape):
    """A group."""

    group: dict[str, Any]


class GroupList(Shape):
    """Groups."""

    groups: list[dict[str, Any]]


class SimRecord(Shape):
    """A SIM."""

    id: str = Field(alias="_id")
    status: str
    activations_count: int
    deactivations_count: int
    first_activated_on: str | None
    last_activated_on: str | None


class SimsPage(Shape):
    """A page of SIMs."""

    sims: list[SimRecord]
    meta: dict[str, Any]


class SimStatus(Ok):
    """How the carrier sees a SIM."""

    meta: dict[str, Any]
    sim_status: dict[str, Any] | None = None


class SimUsage(Shape):
    """Megabytes by day."""

    usage_by_day: list[dict[str, Any]]


class FirmwareRecord(Shape):
    """A firmware version of a product."""

    id: str = Field(alias="_id")
    version: int
    title: str
    description: str
    size: int
    product_default: bool
    product_id: int
    groups: list[str]
    device_count: int


class DeviceOsRecord(Shape):
    """A release of Device OS."""

    version: str
    internal_version: int
    base_url: str
    release_state: str
    supported_platforms: list[dict[str, Any]]
    modules: list[dict[str, Any]]


class DiagnosticsAnswer(Shape):
    """Vitals."""

    diagnostics: Any


class IntegrationRecord(Shape):
    """A webhook."""

    id: str
    event: str
    url: str
    created_at: str
    integration_type: str


class AgreementList(Shape):
    """Service agreements."""

    data: list[dict[str, Any]]


class ReportAnswer(Shape):
    """A usage report."""

    data: dict[str, Any]


class ClientAnswer(Ok):
    """An OAuth client."""

    client: dict[str, Any]
