"""Device OS releases as the cloud offers them.

Source: particle-api-js 12.0.3 ``listDeviceOsVersions``, ``getDeviceOsVersion``; particle-iot/particle-cli
src/lib/device-os-version-util.js (files lie at ``base_url/filename``).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

from particle_dev.cloud.api import CloudApi
from particle_dev.cloud.replies import JsonObject, error_of, objects
from particle_dev.errors import CloudReplyError
from particle_dev.transport.base import HttpLink, HttpRequest

DOWNLOAD_TIMEOUT_S = 120.0
LinkOpener = Callable[[str], HttpLink]
"""Opens a link to another server than the API's, which gets no token."""


@dataclass(frozen=True, slots=True)
class DeviceOsFile:
    """A file of a release. ``module_function`` is the cloud's word: ``system_part``, ``bootloader``, …"""

    filename: str
    module_function: str | None


@dataclass(frozen=True, slots=True)
class DeviceOsRelease:
    """A release for one platform, or (no ``files``) in the list of all. ``internal_version`` is the modules' number."""

    version: str
    internal_version: int | None
    release_state: str | None
    base_url: str | None
    files: tuple[DeviceOsFile, ...]


def releases(api: CloudApi, platform_id: int | None = None) -> list[DeviceOsRelease]:
    """All releases, for one platform or for any, as the cloud orders them."""
    path = ("v1", "device-os", "versions")
    answer = api.call("GET", path, query={"platform_id": platform_id, "per_page": 1000})
    found = answer if isinstance(answer, list) else JsonObject(answer, api.shown("GET", path)).data.get("versions")
    return [_release(r) for r in objects(found, api.shown("GET", path))]


def release(api: CloudApi, version: str, platform_id: int) -> DeviceOsRelease:
    """One release for a platform; ``version`` such as ``5.8.0`` or ``latest``. Raises CloudNotFoundError."""
    path = ("v1", "device-os", "versions", version)
    return _release(api.get_object(path, query={"platform_id": platform_id}))


def download(of: DeviceOsRelease, file: DeviceOsFile, open_link: LinkOpener) -> bytes:
    """The bytes of a file of a release; what they are is not checked. Raises CloudError, TransportError.

    The server of the files is another than the API's and gets no token.
    """
    name = file.filename
    if of.base_url is None or "/" in name or "\\" in name or name in ("", ".", ".."):
        raise CloudReplyError(
            f"The cloud tells no place of {name!r} of Device OS {of.version}.",
            where="GET /v1/device-os/versions",
            key="base_url",
            hint="take the release from npm:particle-cli, or from a zip of Particle's releases",
        )
    parts = urlsplit(of.base_url)
    link = open_link(f"{parts.scheme}://{parts.netloc}")
    try:
        segments = tuple(s for s in parts.path.split("/") if s)
        request = HttpRequest("GET", (*segments, name), headers={"Accept": "application/octet-stream"})
        reply = link.send(request, DOWNLOAD_TIMEOUT_S)
    finally:
        link.close()
    if reply.status != 200:
        raise error_of(reply, f"{request.shown()} of {link.where}")
    return reply.body


def _release(data: JsonObject) -> DeviceOsRelease:
    files = []
    for module in data.optional_objects("modules"):
        prefix = module.optional_object("prefixInfo")
        function = prefix.optional_text("moduleFunction") if prefix else None
        files.append(DeviceOsFile(module.text("filename"), function))
    return DeviceOsRelease(
        version=data.text("version"),
        internal_version=data.optional_integer("internal_version", "module_version"),
        release_state=data.optional_text("release_state"),
        base_url=data.optional_text("base_url"),
        files=tuple(files),
    )
