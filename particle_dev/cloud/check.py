"""Lints of a product: settings and leftovers that would bill somebody, reflash units after the line, or lose events.

Pure: facts in, findings out. What could not be read is a finding too, never a pass.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from particle_dev.catalog.platforms import platform_by_id
from particle_dev.cloud.check_facts import LineFirmware, Members, ProductFacts, Unread
from particle_dev.cloud.integrations import Integration
from particle_dev.cloud.order_file import Order

_SHOWN = 5
"""Devices named in one finding; the finding carries all."""


class Severity(StrEnum):
    """What a finding means. ``UNKNOWN`` is no pass: it could not be checked."""

    OK = "ok"
    NOTE = "note"
    """Works, and is good to know."""
    PROBLEM = "problem"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class LintFinding:
    """``code`` is stable and names the check; ``where`` is what it is about; ``fix`` what to do, empty when nothing;
    ``devices`` the Device IDs concerned."""

    code: str
    severity: Severity
    where: str
    message: str
    fix: str = ""
    devices: tuple[str, ...] = ()


def check_product(
    facts: ProductFacts, firmware: LineFirmware | Unread, order: Order | None = None, release: int | None = None
) -> tuple[LintFinding, ...]:
    """All checks, in the order in which they hurt.

    ``firmware`` is what the line flashes (Unread: no recipe was given); ``order`` what the line will be fed with;
    ``release`` a product version that is to be released.
    """
    return (
        *_auto_approve(facts),
        *_platforms(facts),
        *_quarantine(facts),
        *_wildcard(facts, firmware, order),
        *_default_firmware(facts, firmware),
        *_golden_device(facts, firmware, release),
        *_development(facts),
        *_integrations(facts),
    )


def _auto_approve(facts: ProductFacts) -> Iterator[LintFinding]:
    """Anyone who flashes the product id onto a board joins, and is billed. Source: particle-iot/docs
    src/content/getting-started/cloud/device-claiming.md, Auto-approve. That the setting ``quarantine`` is its opposite
    follows from its name; no public source states it."""
    where = f"product {facts.product.name}, Settings"
    setting = facts.product.quarantine
    if setting is None:
        message = "the cloud does not tell whether unknown devices are quarantined or approved"
        yield LintFinding(
            "auto_approve", Severity.UNKNOWN, where, message, "look in the console: Settings, Auto-Approve"
        )
    elif setting:
        yield LintFinding("auto_approve", Severity.OK, where, "unknown devices are quarantined")
    else:
        message = (
            "auto-approve seems to be on (quarantine is false): any device with this product id joins and is billed"
        )
        yield LintFinding("auto_approve", Severity.PROBLEM, where, message, "switch it off in the console: Settings")


def _platforms(facts: ProductFacts) -> Iterator[LintFinding]:
    where = f"product {facts.product.name}, devices"
    if isinstance(facts.members, Unread):
        yield _unread("wrong_platform", where, facts.members)
        return
    if facts.members.wrong_platform:
        wanted = platform_by_id(facts.product.platform_id)
        name = wanted.display_name if wanted else f"platform {facts.product.platform_id}"
        devices = facts.members.wrong_platform
        message = f"{_some(devices)} of another platform; the product is for {name}, and so is its firmware"
        fix = "particle-dev cloud devices remove, then import each into a product for its platform"
        yield LintFinding("wrong_platform", Severity.PROBLEM, where, message, fix, devices)
    else:
        count = facts.members.count
        message = f"{_count(count)}, all of the product's platform" if count else "the product has no device yet"
        yield LintFinding("wrong_platform", Severity.OK, where, message)


def _quarantine(facts: ProductFacts) -> Iterator[LintFinding]:
    if isinstance(facts.members, Unread) or not facts.members.quarantined:
        return
    devices = facts.members.quarantined
    message = f"{_some(devices)} wait for approval; approving bills them"
    fix = "approve only what is yours, with particle-dev cloud devices approve, or deny it"
    where = f"product {facts.product.name}, denied devices"
    yield LintFinding("quarantined", Severity.NOTE, where, message, fix, devices)


def _wildcard(facts: ProductFacts, firmware: LineFirmware | Unread, order: Order | None) -> Iterator[LintFinding]:
    """Firmware without a product id of its own lets no unknown device in, and keeps none out: units that are not
    members stay strangers. Source: device-claiming.md, Wildcard product firmware."""
    where = f"product {facts.product.name}, devices"
    if isinstance(firmware, Unread):
        yield _unread("wildcard", "recipe", firmware)
        return
    if not firmware.is_wildcard and firmware.product_id != facts.product.id:
        message = f"{firmware.name} is for product {firmware.product_id}, not {facts.product.id}: units join that one"
        fix = f"particle-dev firmware set-product {facts.product.id} {firmware.version or 'VERSION'} IN OUT"
        yield LintFinding("other_product", Severity.PROBLEM, f"recipe, {firmware.name}", message, fix)
        return
    if not firmware.is_wildcard:
        yield LintFinding("wildcard", Severity.OK, f"recipe, {firmware.name}", "it names the product")
        return
    if isinstance(facts.members, Unread):
        yield _unread("wildcard", where, facts.members)
    elif facts.members.count == 0:
        message = f"{firmware.name} names no product of its own, and the product has no devices: no unit would join it"
        yield LintFinding("wildcard", Severity.PROBLEM, where, message, _IMPORT)
    elif order is None:
        message = f"{firmware.name} names no product of its own: units that are not imported stay outside"
        fix = "give the order file with --ids to check that all units are members"
        yield LintFinding("wildcard", Severity.UNKNOWN, where, message, fix)
    else:
        missing = tuple(e.asked.value for e in order.entries if not facts.members.has(e))
        if missing or order.problems:
            more = f" and {len(order.problems)} lines cannot be read" if order.problems else ""
            message = f"{_some(missing)} of the order are not in the product{more}; the firmware lets in members only"
            yield LintFinding("wildcard", Severity.PROBLEM, where, message, _IMPORT, missing)
        else:
            message = f"all {len(order.entries)} devices of the order are members"
            yield LintFinding("wildcard", Severity.OK, where, message)


_IMPORT = "particle-dev cloud import FILE --product PRODUCT, before a unit gets power"


def _default_firmware(facts: ProductFacts, firmware: LineFirmware | Unread) -> Iterator[LintFinding]:
    """A unit that runs another version than the default is reflashed at its first connection, also to a lower one.
    Source: device-claiming.md, Version upgrades and downgrades."""
    where = f"product {facts.product.name}, firmware"
    if isinstance(firmware, Unread):
        yield _unread("default_firmware", "recipe", firmware)
        return
    if isinstance(facts.firmware, Unread):
        yield _unread("default_firmware", where, facts.firmware)
        return
    default = next((f for f in facts.firmware if f.is_default), None)
    uploaded = next((f for f in facts.firmware if f.version == firmware.version), None)
    if firmware.version is None:
        message = (
            f"{firmware.name} states no product version: a unit gets the product's default at its first connection"
        )
        severity = Severity.PROBLEM if default else Severity.NOTE
        yield LintFinding("default_firmware", severity, f"recipe, {firmware.name}", message, _SET_VERSION)
    elif uploaded is None:
        message = f"version {firmware.version}, which the line flashes, is not uploaded"
        fix = (
            f"before the first unit connects, with the file {firmware.name} (by its path): `particle-dev cloud "
            f"firmware upload FILE --product {facts.product.id} --title TEXT`"
        )
        yield LintFinding("default_firmware", Severity.PROBLEM, where, message, fix)
    elif uploaded.sha256 is not None and firmware.sha256 is not None and uploaded.sha256 != firmware.sha256:
        message = (
            f"version {firmware.version} of the product is another file than {firmware.name}: units keep what they have"
        )
        yield LintFinding("default_firmware", Severity.PROBLEM, where, message, _SET_VERSION)
    elif default is None:
        message = f"no version is the default: units keep version {firmware.version}"
        yield LintFinding("default_firmware", Severity.OK, where, message)
    elif default.version != firmware.version:
        message = f"the default is version {default.version}, the line flashes {firmware.version}: units are reflashed"
        fix = f"release version {firmware.version} as default first, or flash version {default.version}"
        yield LintFinding("default_firmware", Severity.PROBLEM, where, message, fix)
    elif uploaded.sha256 is None or firmware.sha256 is None:
        message = (
            f"version {default.version} is the default, as the line flashes; whether it is the same file was not read"
        )
        fix = "give a token with the scope firmware.binary:get"
        yield LintFinding("default_firmware", Severity.UNKNOWN, where, message, fix)
    else:
        yield LintFinding("default_firmware", Severity.OK, where, f"version {default.version} is what the line flashes")


_SET_VERSION = "build it with a higher PRODUCT_VERSION, or: particle-dev firmware set-product"


def _golden_device(facts: ProductFacts, firmware: LineFirmware | Unread, release: int | None) -> Iterator[LintFinding]:
    """The first release of a version needs a member that runs it and has connected. Source: cloud API reference,
    Release product firmware."""
    where = f"product {facts.product.name}, firmware"
    version = release if release is not None else None if isinstance(firmware, Unread) else firmware.version
    if version is None:
        return
    for part in (facts.firmware, facts.members):
        if isinstance(part, Unread):
            yield _unread("golden_device", where, part)
            return
    assert not isinstance(facts.firmware, Unread)
    assert not isinstance(facts.members, Unread)
    known = next((f for f in facts.firmware if f.version == version), None)
    if known is not None and (known.is_default or known.groups):
        yield LintFinding("golden_device", Severity.OK, where, f"version {version} is released already")
    elif ran := _runs(facts.members, firmware, version):
        message = f"version {version} can be released: {_count(ran)} of the product ran it when last online"
        yield LintFinding("golden_device", Severity.OK, where, message)
    elif perhaps := facts.members.running_wildcard.get(version):
        message = (
            f"version {version} may be refused: {_count(perhaps)} last ran a version {version} of firmware that names "
            "no product, which may be another file"
        )
        yield LintFinding("golden_device", Severity.UNKNOWN, where, message, _CONNECT_AFTER_UPLOAD)
    else:
        message = f"version {version} cannot be released: no device of the product has connected with it"
        fix = (
            "keep one board as golden device: import it, flash this version over USB, let it connect (--may-connect); "
            "it is metered from then on"
        )
        yield LintFinding("golden_device", Severity.PROBLEM, where, message, fix)


def _runs(members: Members, firmware: LineFirmware | Unread, version: int) -> int:
    """Members that have connected with this version. Firmware that names no product counts where the line's is such."""
    is_of_line = not isinstance(firmware, Unread) and firmware.product_id is None and firmware.version == version
    return members.running.get(version, 0) + (members.running_wildcard.get(version, 0) if is_of_line else 0)


_CONNECT_AFTER_UPLOAD = (
    "upload this version, and let a device of the product that runs it connect after that (--may-connect); it is "
    "metered from then on"
)


def _development(facts: ProductFacts) -> Iterator[LintFinding]:
    """A marked device gets no product firmware, neither now nor at the customer's."""
    where = f"product {facts.product.name}, devices"
    if isinstance(facts.members, Unread):
        yield _unread("development", where, facts.members)
    elif facts.members.development:
        devices = facts.members.development
        message = f"{_some(devices)} are marked as development devices: product firmware never reaches them"
        fix = "particle-dev cloud devices set DEVICE --no-development, or name those of the bench with --bench-device"
        yield LintFinding("development", Severity.PROBLEM, where, message, fix, devices)
    else:
        but = " but those named" if facts.members.bench_devices else ""
        message = f"no device is marked as development device{but}"
        yield LintFinding("development", Severity.OK, where, message)


def _integrations(facts: ProductFacts) -> Iterator[LintFinding]:
    """An integration of a user's account hears the devices that the user claimed, one of the product all of them: with
    both, events of claimed devices arrive twice. Source: product pages of Particle, Integrations and claiming."""
    account = f"integrations of {facts.owner}"
    places = (
        (account, facts.owner_integrations),
        (f"integrations of product {facts.product.name}", facts.product_integrations),
        ("integrations of the organization", facts.organization_integrations),
    )
    findings = [_unread("integrations", where, part) for where, part in places if isinstance(part, Unread)]
    read = [(where, one) for where, part in places if not isinstance(part, Unread) for one in part]
    for number, (where, one) in enumerate(read):
        for other_where, other in read[number + 1 :]:
            if where != other_where and _overlap(one, other):
                message = f"{one.event!r} here and {other.event!r} ({other.id}) in {other_where}: events arrive twice"
                fix = "keep the one of the product, delete the other one"
                findings.append(LintFinding("doubled_webhook", Severity.PROBLEM, f"{where}, {one.id}", message, fix))
    unclaimed = 0 if isinstance(facts.members, Unread) else facts.members.unclaimed
    if unclaimed and not isinstance(facts.owner_integrations, Unread):
        for one in facts.owner_integrations:
            message = f"{one.event!r} never hears {unclaimed} devices of the product, which are not claimed"
            fix = "if it is meant for this product, create it in the product instead"
            findings.append(LintFinding("owner_webhook", Severity.PROBLEM, f"{account}, {one.id}", message, fix))
    if not findings:
        findings = [LintFinding("integrations", Severity.OK, account, f"{len(read)}, none in the way of another")]
    yield from findings


def _overlap(one: Integration, other: Integration) -> bool:
    """Whether some event triggers both: triggers are beginnings of names."""
    return one.event.startswith(other.event) or other.event.startswith(one.event)


def _unread(code: str, where: str, part: Unread) -> LintFinding:
    return LintFinding(code, Severity.UNKNOWN, where, f"not checked: {part.reason}", part.fix)


def _some(devices: Sequence[str]) -> str:
    """The first few Device IDs, and how many there are."""
    shown = ", ".join(devices[:_SHOWN])
    more = f" and {len(devices) - _SHOWN} more" if len(devices) > _SHOWN else ""
    return f"{_count(len(devices))} ({shown}{more})"


def _count(devices: int) -> str:
    return f"{devices} device{'s' if devices != 1 else ''}"


def worst(findings: Iterable[LintFinding]) -> Severity:
    """PROBLEM, else UNKNOWN, else NOTE, else OK."""
    found = {finding.severity for finding in findings}
    ranked = (Severity.PROBLEM, Severity.UNKNOWN, Severity.NOTE, Severity.OK)
    return next((severity for severity in ranked if severity in found), Severity.UNKNOWN)
