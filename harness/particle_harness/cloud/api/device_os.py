"""Device OS releases and their files, build targets."""

from __future__ import annotations

from functools import cache
from typing import Any

from particle_dev.catalog.device_os import RELEASES, DeviceOsRelease, version_key
from particle_harness.boards import Hardware, hardware, kinds
from particle_harness.cloud.api.lookup import per_page_of
from particle_harness.cloud.errors import bad_request, not_found
from particle_harness.cloud.firmware_file import hardware_of
from particle_harness.cloud.routes import Call, Routes
from particle_harness.cloud.shapes import DeviceOsQuery, DeviceOsRecord, DeviceOsVersionQuery
from particle_harness.factory import bootloader_stand_in, softdevice_stand_in, system_stand_ins
from particle_harness.module_reader import CRC_SIZE_BYTES, read_prefix, reader_of

ROUTES = Routes()
_FUNCTIONS = {2: "bootloader", 4: "system_part", 5: "user_part", 8: "radio_stack"}
_OLDEST = version_key("2.0.0")


def _offered() -> list[DeviceOsRelease]:
    """Releases that the simulated cloud has files of, the newest first."""
    known = [r for r in RELEASES if r.bootloader_version is not None and version_key(r.name) >= _OLDEST]
    return sorted(known, key=lambda release: version_key(release.name), reverse=True)


def _supports(board: Hardware, release: DeviceOsRelease) -> bool:
    return release.system_version >= _FIRST.get(board.name, 0)


_FIRST = {"p2": 5000, "photon2": 5000, "trackerm": 5000, "msom": 5600, "esomx": 4000}


def _boards() -> dict[int, Hardware]:
    found: dict[int, Hardware] = {}
    for name in kinds():
        found.setdefault(hardware(name).platform_id, hardware(name))
    return found


@cache
def _files(platform_id: int, release: str) -> dict[str, bytes]:
    """Module files of a release, by name: stand-ins, which real boards would not run."""
    board = _boards()[platform_id]
    found = next(r for r in RELEASES if r.name == release)
    assert found.bootloader_version is not None
    parts = system_stand_ins(board, found.system_version, found.bootloader_version)
    modules = [bootloader_stand_in(board, found.bootloader_version), *parts]
    modules += [softdevice_stand_in(board)] if board.is_gen3 else []
    files: dict[str, bytes] = {}
    for module in modules:
        prefix = read_prefix(reader_of(module), 0, board.mcu)
        assert prefix is not None
        kind = _FUNCTIONS.get(prefix.function, "module").replace("_", "-")
        files.setdefault(f"{board.name}-{kind}{prefix.index or ''}@{release}.bin", module)
    return files


def _module_record(board: Hardware, name: str, data: bytes) -> dict[str, Any]:
    prefix = read_prefix(reader_of(data), 0, board.mcu)
    assert prefix is not None
    stored = data[prefix.length : prefix.length + CRC_SIZE_BYTES].hex()
    info = {
        "moduleStartAddy": f"{prefix.start_address:08x}",
        "moduleEndAddy": f"{prefix.end_address:08x}",
        "moduleVersion": prefix.version,
        "platformID": prefix.platform_id,
        "moduleFunction": _FUNCTIONS.get(prefix.function, str(prefix.function)),
        "moduleIndex": prefix.index,
        "depModuleFunction": prefix.need1.function,
        "depModuleIndex": prefix.need1.index,
        "depModuleVersion": prefix.need1.version,
    }
    return {
        "filename": name,
        "prefixInfo": info,
        "crc": {"ok": True, "storedCrc": stored, "actualCrc": stored},
    }


def _record(call: Call, release: DeviceOsRelease, platform_id: int | None) -> dict[str, Any]:
    boards = _boards()
    supported = [i for i, board in boards.items() if _supports(board, release)]
    wanted = [platform_id] if platform_id is not None else []
    base = f"http://{call.headers.get('Host', 'localhost')}/sim/v1/device-os/{release.name}"
    modules = [_module_record(boards[i], name, data) for i in wanted for name, data in _files(i, release.name).items()]
    return {
        "version": release.name,
        "internal_version": release.system_version,
        "module_version": release.system_version,
        "platform_id": platform_id if platform_id is not None else supported[0],
        "base_url": f"{base}/{platform_id}" if platform_id is not None else base,
        "release_state": "preview" if "-" in release.name else "ga",
        "supported_platforms": [{"id": i, "name": boards[i].product_name, "prerelease": False} for i in supported],
        "modules": modules,
    }


def _matches(query: Any, release: DeviceOsRelease) -> bool:
    if query.internal_version is not None and release.system_version != query.internal_version:
        return False
    board = _boards().get(query.platform_id)
    return query.platform_id is None or (board is not None and _supports(board, release))


@ROUTES.add(
    "GET", "/v1/device-os/versions", scope=None, query=DeviceOsQuery, answer=list[DeviceOsRecord], errors=(400,)
)
def list_versions(call: Call) -> list[dict[str, Any]]:
    """List Device OS releases."""
    found = [release for release in _offered() if _matches(call.query, release)]
    per_page = per_page_of(call)
    start = (call.query.page - 1) * per_page
    return [_record(call, release, call.query.platform_id) for release in found[start : start + per_page]]


@ROUTES.add(
    "GET",
    "/v1/device-os/versions/<version>",
    scope=None,
    query=DeviceOsVersionQuery,
    answer=DeviceOsRecord,
    errors=(400, 404),
)
def get_version(call: Call) -> dict[str, Any]:
    """Tell about one release by name, by number, or the latest."""
    wanted = call.params["version"]
    found = [release for release in _offered() if _matches(call.query, release)]
    if wanted == "latest":
        release = next((r for r in found if "-" not in r.name), None)
    else:
        release = next((r for r in found if wanted in (r.name, str(r.system_version))), None)
    if release is None:
        raise not_found("Device OS version")
    return _record(call, release, call.query.platform_id)


@ROUTES.add("GET", "/sim/v1/device-os/<version>/<platform>/<file>", auth=False, public=False)
def download(call: Call) -> bytes:
    """Download a module file."""
    platform, version = call.params["platform"], call.params["version"]
    board = hardware_of(int(platform)) if platform.isdecimal() else None
    release = next((r for r in _offered() if r.name == version), None)
    if board is None or release is None or not _supports(board, release):
        raise not_found("Device OS version")
    file = _files(board.platform_id, version).get(call.params["file"])
    if file is None:
        raise not_found("File")
    return file


@ROUTES.add("GET", "/v1/build_targets", auth=False, answer=dict[str, Any])
def build_targets(call: Call) -> dict[str, Any]:  # noqa: ARG001
    """List what the compiler in the cloud can build for."""
    boards = _boards()
    targets = [
        {
            "platforms": [i for i, board in boards.items() if _supports(board, release)],
            "prereleases": [],
            "version": release.name,
            "firmware_vendor": "Particle",
        }
        for release in _offered()
        if "-" not in release.name
    ]
    return {"ok": True, "targets": targets, "platforms": {b.name: i for i, b in boards.items()}, "default_versions": {}}


@ROUTES.add("POST", "/v1/binaries", body=None, answer=dict[str, Any], errors=(400,), multipart=True)
def compile_sources(call: Call) -> dict[str, Any]:  # noqa: ARG001
    """Refuse: there is no compiler in the simulated cloud."""
    raise bad_request("the simulated cloud has no compiler")
