"""What the firmware store knows about a module, what adding did, and the modules of a Device OS release."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from particle_dev.catalog.device_os import RELEASES, DeviceOsRelease
from particle_dev.catalog.modules import ModuleFlag, ModuleFunction
from particle_dev.catalog.platforms import Platform, platform_by_id
from particle_dev.protocol.module import Dependency, Product


@dataclass(frozen=True, slots=True)
class StoredModule:
    """A module in the store. ``sha256`` is of the whole file, in hex; ``added_at`` is ISO 8601 in UTC.

    ``source`` says where its first copy came from: a path, ``archive:member`` or ``npm:NAME@VERSION:member``.
    """

    sha256: str
    size_bytes: int
    platform_id: int
    function: ModuleFunction
    index: int
    version: int
    dependencies: tuple[Dependency, ...]
    product: Product | None
    file_name: str
    source: str
    added_at: str
    flags: int | None = None
    """Of its prefix; None for what a version before these were kept has added."""

    @property
    def is_compressed(self) -> bool:
        """Whether a device expands it."""
        return bool((self.flags or 0) & ModuleFlag.COMPRESSED)

    @property
    def platform_name(self) -> str:
        """The platform's name; ``any`` for assets, which have none."""
        platform = platform_by_id(self.platform_id)
        return "any" if self.function == ModuleFunction.ASSET or platform is None else platform.name

    @property
    def device_os(self) -> tuple[str, ...]:
        """Device OS releases that carry this bootloader or system part version; empty for other modules."""
        if self.function == ModuleFunction.SYSTEM_PART:
            return tuple(r.name for r in RELEASES if r.system_version == self.version)
        if self.function == ModuleFunction.BOOTLOADER:
            return tuple(r.name for r in RELEASES if r.bootloader_version == self.version)
        return ()

    @property
    def title(self) -> str:
        """``boron system part 1 v2101``."""
        return f"{self.platform_name} {self.function.label} {self.index} v{self.version}"

    @property
    def container(self) -> str:
        """What it was added from: npm package, archive or folder."""
        container, colon, _ = self.source.rpartition(":")
        return container if colon else str(Path(self.source).parent)


@dataclass(frozen=True, slots=True)
class Refusal:
    """A file that was not taken: stable ``code`` and file ``offset`` as of ``protocol.module``."""

    name: str
    code: str
    offset: int | None
    message: str


@dataclass(frozen=True, slots=True)
class AddResult:
    """What one ``add`` did. ``present``: content that was there before, with its first name and source."""

    added: tuple[StoredModule, ...]
    present: tuple[StoredModule, ...]
    refused: tuple[Refusal, ...]
    not_modules: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """Whether nothing was refused and there was at least one module."""
        return not self.refused and bool(self.added or self.present)


@dataclass(frozen=True, slots=True)
class DeviceOsSet:
    """The modules of one Device OS release for one platform, each list in the order of module indexes."""

    platform: Platform
    release: DeviceOsRelease
    bootloaders: tuple[StoredModule, ...]
    radio_stack: StoredModule | None
    system_parts: tuple[StoredModule, ...]

    @property
    def factory_modules(self) -> tuple[StoredModule, ...]:
        """What a board carries before its first system part: bootloaders and radio stack."""
        return self.bootloaders + ((self.radio_stack,) if self.radio_stack else ())

    @property
    def modules(self) -> tuple[StoredModule, ...]:
        """All of them."""
        return self.factory_modules + self.system_parts


def module_to_json(stored: StoredModule) -> dict[str, Any]:
    """The module as one entry of the index; :func:`module_from_json` reads it back."""
    product = stored.product
    return {
        "sha256": stored.sha256,
        "size_bytes": stored.size_bytes,
        "platform_id": stored.platform_id,
        "function": int(stored.function),
        "index": stored.index,
        "version": stored.version,
        "dependencies": [
            {"function": int(d.function), "index": d.index, "version": d.version} for d in stored.dependencies
        ],
        "product": product and {"id": product.id, "version": product.version},
        "file_name": stored.file_name,
        "source": stored.source,
        "added_at": stored.added_at,
        "flags": stored.flags,
    }


def module_from_json(entry: dict[str, Any]) -> StoredModule:
    """Read an entry of the index. Raises KeyError, TypeError or ValueError when it is none."""
    product = entry["product"]
    return StoredModule(
        sha256=_text(entry, "sha256"),
        size_bytes=int(entry["size_bytes"]),
        platform_id=int(entry["platform_id"]),
        function=ModuleFunction(entry["function"]),
        index=int(entry["index"]),
        version=int(entry["version"]),
        dependencies=tuple(
            Dependency(ModuleFunction(d["function"]), int(d["index"]), int(d["version"])) for d in entry["dependencies"]
        ),
        product=None if product is None else Product(int(product["id"]), int(product["version"])),
        file_name=_text(entry, "file_name"),
        source=_text(entry, "source"),
        added_at=_text(entry, "added_at"),
        flags=None if entry.get("flags") is None else int(entry["flags"]),
    )


def _text(entry: dict[str, Any], key: str) -> str:
    value = entry[key]
    if not isinstance(value, str):
        raise TypeError(f"{key} is no text")
    return value
