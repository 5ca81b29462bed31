"""Application bundles: an application and its assets in one zip archive.

    NAME.bin         exactly one at the root: the application, with one ASSET_DEPENDENCY TLV an asset
    assets/NAME      raw data of an asset, one level deep
    env.json         optional: environment variables, as names and strings

Other members are ignored. Archives are mappings of member names to bytes here; ``particle_dev.flash`` reads and writes
the zip.

Source: npm binary-version-reader 3.1.3 and 4.2.0 ``lib/moduleEncoding.js`` (createApplicationAndAssetBundle,
unpackApplicationAndAssetBundle); particle-cli ``src/cmd/bundle.js`` (names left out); device-os
``system/system-versions.md`` (5500 = 5.5.0-rc.1, the first that keeps assets).
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from particle_dev.catalog.modules import ModuleFlag, ModuleFunction
from particle_dev.catalog.platforms import platform_by_id
from particle_dev.errors import FormatError, ModuleFormatError
from particle_dev.protocol.asset import Asset, check_asset_name, check_storage, dependency_tlv, make_asset_module
from particle_dev.protocol.module import Module, Problem, parse, verify
from particle_dev.protocol.module_edit import add_extensions
from particle_dev.protocol.module_traits import AssetDependency, asset_dependencies, is_application

ASSET_FOLDER = "assets"
ENVIRONMENT_FILE = "env.json"
MIN_SYSTEM_VERSION = 5500
"""Of the system part that an application must depend on, for its assets to be looked at."""
_HINT_ENVIRONMENT = 'write an object such as {"NAME": "value"}'
_JUNK = ("Thumbs.db", "desktop.ini", "__MACOSX")


@dataclass(frozen=True, slots=True)
class Bundle:
    """The contents of a bundle. ``environment`` is None without an ``env.json``."""

    application_name: str
    application: bytes
    assets: tuple[Asset, ...]
    environment: Mapping[str, str] | None = None


def is_junk(name: str) -> bool:
    """Whether an operating system left this file or folder behind: nothing to put into a bundle."""
    return name.startswith(".") or name in _JUNK


def is_bundle(names: Iterable[str]) -> bool:
    """Whether an archive with these members is a bundle: one ``.bin`` at the root, and assets."""
    members = list(names)
    return len(_root_applications(members)) == 1 and any(_is_asset(name) for name in members)


def make_bundle(application: bytes, assets: Sequence[Asset], *, application_name: str) -> dict[str, bytes]:
    """The members of a bundle. The application gets dependencies on exactly these assets, with new SHA-256 and CRC-32.

    Raises ModuleFormatError: ``not_application``; ``assets_unsupported`` by the platform; ``device_os_too_old``;
    ``bad_application_name``, ``bad_asset_name``, ``duplicate_asset``, ``asset_too_large``, ``assets_too_large``; as
    :func:`~particle_dev.protocol.module.parse` and :func:`~particle_dev.protocol.module_edit.add_extensions`.
    """
    if len(_root_applications([application_name])) != 1:
        raise ModuleFormatError(
            f"{application_name!r} is no name for the application of a bundle.",
            code="bad_application_name",
            hint="let it end with .bin",
        )
    module = parse(application)
    verify(module, file=application_name)
    if assets:
        for check in (_check_application, _check_names, _check_room):
            check(module, assets)
        application = add_extensions(application, [dependency_tlv(asset) for asset in assets])
    elif not is_application(module):
        raise _not_application(module)
    return {application_name: application} | {f"{ASSET_FOLDER}/{asset.name}": asset.data for asset in assets}


def read_bundle(members: Mapping[str, bytes]) -> Bundle:
    """The bundle in an archive.

    Raises FormatError: ``no_application``, ``several_applications``, ``bad_environment``.
    """
    applications = _root_applications(members)
    if len(applications) != 1:
        code = "several_applications" if applications else "no_application"
        raise FormatError(
            f"A bundle has one .bin file at its root, this archive {len(applications) or 'none'}.",
            code=code,
            hint="make the bundle with: particle-dev firmware build-bundle",
        )
    assets = tuple(Asset(name.partition("/")[2], data) for name, data in members.items() if _is_asset(name))
    environment = _read_environment(members[ENVIRONMENT_FILE]) if ENVIRONMENT_FILE in members else None
    return Bundle(applications[0], members[applications[0]], assets, environment)


def bundle_problems(bundle: Bundle, module: Module) -> tuple[Problem, ...]:
    """What keeps a device from running the bundle as meant; ``module`` is its application, parsed.

    Codes: those of :func:`make_bundle`; ``asset_missing``, ``asset_hash_mismatch`` and ``asset_not_wanted`` where
    application and archive differ; ``bad_extension``. Offsets count from the start of the application.
    """
    try:
        wanted = asset_dependencies(module)
    except ModuleFormatError as error:
        return (_problem(error),)
    problems = _mismatches(wanted, {asset.name: asset for asset in bundle.assets})
    for check in (_check_application, _check_names, _check_room):
        try:
            check(module, bundle.assets)
        except ModuleFormatError as error:
            problems.append(_problem(error))
    return tuple(problems)


def _mismatches(wanted: Sequence[AssetDependency], assets: Mapping[str, Asset]) -> list[Problem]:
    problems = []
    for dependency in wanted:
        asset = assets.get(dependency.name)
        if asset is None:
            message = f"The application wants asset {dependency.name!r}, which the bundle does not have."
            problems.append(Problem("asset_missing", dependency.offset, message))
        elif asset.sha256 != dependency.sha256:
            message = f"Asset {dependency.name!r} is not the one that the application wants: its SHA-256 differs."
            problems.append(Problem("asset_hash_mismatch", dependency.offset, message))
    for name in assets.keys() - {d.name for d in wanted}:
        message = f"The application does not want asset {name!r}; a device would delete it."
        problems.append(Problem("asset_not_wanted", None, message))
    return problems


def _check_application(module: Module, _assets: Sequence[Asset]) -> None:
    if not is_application(module):
        raise _not_application(module)
    platform = platform_by_id(module.platform_id)
    if platform is None or platform.assets is None:
        raise ModuleFormatError(
            f"{platform.display_name if platform else 'This platform'} cannot keep assets.",
            code="assets_unsupported",
            offset=module.prefix_offset + 12,
            hint="build the application without assets",
        )
    system_versions = [d.version for d in module.dependencies if d.function == ModuleFunction.SYSTEM_PART]
    if max(system_versions, default=0) < MIN_SYSTEM_VERSION:
        raise ModuleFormatError(
            f"The application asks for system part version {max(system_versions, default=0)}, which knows no assets.",
            code="device_os_too_old",
            offset=module.prefix_offset + 16,
            hint="build it with Device OS 5.5.0 or later",
        )


def _check_names(_module: Module, assets: Sequence[Asset]) -> None:
    for name, count in Counter(asset.name for asset in assets).items():
        check_asset_name(name)
        if count > 1:
            raise ModuleFormatError(
                f"{count} assets are named {name!r}.", code="duplicate_asset", hint="rename all but one"
            )


def _check_room(module: Module, assets: Sequence[Asset]) -> None:
    platform = platform_by_id(module.platform_id)
    if platform and platform.assets:
        check_storage(platform.assets, [(asset.name, len(make_asset_module(asset))) for asset in assets])


def _not_application(module: Module) -> ModuleFormatError:
    what = "an encrypted module" if ModuleFlag.ENCRYPTED in module.flags else f"a {module.function.label}"
    return ModuleFormatError(
        f"A bundle carries an application, not {what}.",
        code="not_application",
        offset=module.prefix_offset + 14,
        hint="give a user part (.bin) that inspect finds intact",
    )


def _root_applications(names: Iterable[str]) -> list[str]:
    return [name for name in names if "/" not in name and name.endswith(".bin")]


def _is_asset(name: str) -> bool:
    folder, slash, rest = name.partition("/")
    return folder == ASSET_FOLDER and bool(slash) and bool(rest) and "/" not in rest


def _read_environment(data: bytes) -> dict[str, str]:
    try:
        environment = json.loads(data)
    except (ValueError, RecursionError) as error:
        message = f"{ENVIRONMENT_FILE} is no JSON: {error}."
        raise FormatError(message, code="bad_environment", hint=_HINT_ENVIRONMENT) from error
    if not isinstance(environment, dict) or not all(isinstance(value, str) for value in environment.values()):
        message = f"{ENVIRONMENT_FILE} must map names to strings."
        raise FormatError(message, code="bad_environment", hint=_HINT_ENVIRONMENT)
    return environment


def _problem(error: ModuleFormatError) -> Problem:
    return Problem(error.code, error.offset, error.message)
