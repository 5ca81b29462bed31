from __future__ import annotations

import errno
import hashlib
import io
import json
import os
import struct
import subprocess
import sys
import tarfile
import zipfile
import zlib
from datetime import UTC, datetime
from pathlib import Path

import pytest

from particle_dev.catalog.modules import ModuleFunction
from particle_dev.errors import FirmwareStoreError
from particle_dev.flash.firmware_sources import npm_tarball, parse_npm_spec
from particle_dev.flash.store import FirmwareStore

BORON, TRACKER = 13, 26
NOON = datetime(2024, 5, 1, 12, 0, tzinfo=UTC)
SLOTS = {
    ModuleFunction.BOOTLOADER: (0xF4000, 0x200),
    ModuleFunction.SYSTEM_PART: (0x30000, 0x200),
    ModuleFunction.USER_PART: (0xD4000, 0),
    ModuleFunction.RADIO_STACK: (0x1000, 0),
}


def build(
    function: ModuleFunction = ModuleFunction.USER_PART,
    *,
    platform_id: int = BORON,
    index: int = 1,
    version: int = 6,
    body: bytes = b"body",
) -> bytes:
    """A module as the linker makes it: [vector table], prefix, body, suffix with SHA-256, CRC-32."""
    start, prefix_offset = SLOTS[function]
    vectors = struct.pack("<I", 0x2003F000).ljust(prefix_offset, b"\xff") if prefix_offset else b""
    flags = 1 if function == ModuleFunction.RADIO_STACK else 0
    length = prefix_offset + 24 + len(body) + 40
    prefix = struct.pack(
        "<IIBBHHBBBBHBBH", start, start + length, 0, flags, version, platform_id, function, index, 4, 1, 100, 0, 0, 0
    )
    hashed = vectors + prefix + body + struct.pack("<HHH", platform_id, 7, 0)
    data = hashed + hashlib.sha256(hashed).digest() + struct.pack("<H", 40)
    return data + zlib.crc32(data).to_bytes(4, "big")


def release_2_1_0(folder: Path, *, system_body: bytes = b"system") -> None:
    folder.mkdir(parents=True, exist_ok=True)
    files = {
        "boron-bootloader@2.1.0.bin": build(ModuleFunction.BOOTLOADER, index=0, version=1005),
        "boron-system-part1@2.1.0.bin": build(ModuleFunction.SYSTEM_PART, version=2101, body=system_body),
        "boron-softdevice@2.1.0.bin": build(ModuleFunction.RADIO_STACK, index=0, version=202),
    }
    for name, data in files.items():
        (folder / name).write_bytes(data)


@pytest.fixture
def store(tmp_path: Path) -> FirmwareStore:
    return FirmwareStore(tmp_path / "store", lambda: NOON)


def write(tmp_path: Path, name: str, data: bytes) -> Path:
    path = tmp_path / name
    path.write_bytes(data)
    return path


def test_a_module_comes_back_byte_for_byte_with_its_facts(store: FirmwareStore, tmp_path: Path) -> None:
    data = build()
    result = store.add_path(write(tmp_path, "app.bin", data))
    assert result.ok
    (module,) = result.added
    assert store.modules() == (module,)
    assert store.read(module.sha256) == data
    assert module.sha256 == hashlib.sha256(data).hexdigest()
    assert (module.platform_name, module.function.label, module.index, module.version) == ("boron", "user part", 1, 6)
    assert module.title == "boron user part 1 v6"
    assert (module.size_bytes, module.file_name, module.source) == (len(data), "app.bin", str(tmp_path / "app.bin"))
    assert module.added_at == "2024-05-01T12:00:00+00:00"
    assert module.product is not None
    assert (module.product.id, module.product.version) == (13, 7)
    assert [(d.function, d.index, d.version) for d in module.dependencies] == [(4, 1, 100)]
    assert module.device_os == ()


def test_releases_of_system_part_and_bootloader_come_from_the_table(store: FirmwareStore, tmp_path: Path) -> None:
    release_2_1_0(tmp_path / "files")
    store.add_path(tmp_path / "files")
    by_function = {m.function: m for m in store.modules()}
    assert by_function[ModuleFunction.SYSTEM_PART].device_os == ("2.1.0",)
    assert {"2.1.0", "3.0.0"} <= set(by_function[ModuleFunction.BOOTLOADER].device_os)


def test_same_content_twice_is_one_module_and_keeps_its_first_source(store: FirmwareStore, tmp_path: Path) -> None:
    first = store.add_path(write(tmp_path, "first.bin", build()))
    second = store.add_path(write(tmp_path, "second.bin", build()))
    assert (len(first.added), len(first.present)) == (1, 0)
    assert (len(second.added), len(second.present)) == (0, 1)
    assert second.ok
    assert second.present == first.added == store.modules()


def test_reading_an_empty_store_creates_nothing(store: FirmwareStore) -> None:
    assert store.modules() == ()
    assert store.find(BORON, ModuleFunction.USER_PART, 1) == ()
    assert not store.root.exists()


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "empty"),
        (build()[:-1], "truncated"),
        (build()[:60], "truncated"),
        (build()[:-4] + bytes(4), "crc_mismatch"),
        (build(body=b"good").replace(b"good", b"evil"), "crc_mismatch"),
        (b"#!/bin/sh\n" * 20, "no_prefix"),
        (build(platform_id=60000), "unknown_platform"),
    ],
)
def test_a_damaged_file_is_refused_with_code_and_message(
    store: FirmwareStore, tmp_path: Path, data: bytes, code: str
) -> None:
    result = store.add_path(write(tmp_path, "bad.bin", data))
    assert not result.ok
    assert (result.added, result.present, result.not_modules) == ((), (), ())
    (refusal,) = result.refused
    assert (refusal.name, refusal.code) == (str(tmp_path / "bad.bin"), code)
    assert refusal.message
    assert store.modules() == ()


def test_in_a_folder_the_good_ones_are_taken_and_the_others_named(store: FirmwareStore, tmp_path: Path) -> None:
    folder = tmp_path / "files"
    (folder / "deep").mkdir(parents=True)
    (folder / "deep" / "good.bin").write_bytes(build())
    (folder / "bad.bin").write_bytes(build()[:-4] + bytes(4))
    (folder / "patch.bin").write_bytes(b"no module at all" * 9)
    (folder / "readme.txt").write_text("no .bin")
    (folder / "folder.bin").mkdir()
    result = store.add_path(folder)
    assert [m.source for m in result.added] == [str(folder / "deep" / "good.bin")]
    assert [(r.name, r.code) for r in result.refused] == [(str(folder / "bad.bin"), "crc_mismatch")]
    assert result.not_modules == (str(folder / "patch.bin"),)
    assert not result.ok


def test_a_folder_without_modules_is_not_ok_but_refuses_nothing(store: FirmwareStore, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    result = store.add_path(tmp_path / "empty")
    assert result.refused == ()
    assert not result.ok


def test_archives_are_read_and_name_their_member(store: FirmwareStore, tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "release.tgz", "w:gz") as archive:
        for name, data in (("package/assets/one.bin", build(version=1)), ("../../outside.bin", build(version=2))):
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
        link = tarfile.TarInfo("link.bin")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
    with zipfile.ZipFile(tmp_path / "release.zip", "w") as zipped:
        zipped.writestr("app/three.bin", build(version=3))
        zipped.writestr("app/notes.txt", "none")
    tar = store.add_path(tmp_path / "release.tgz")
    assert [m.source for m in tar.added] == [
        f"{tmp_path}/release.tgz:../../outside.bin",
        f"{tmp_path}/release.tgz:assets/one.bin",
    ]
    assert [m.file_name for m in tar.added] == ["outside.bin", "one.bin"]
    zipped_result = store.add_path(tmp_path / "release.zip")
    assert [m.source for m in zipped_result.added] == [f"{tmp_path}/release.zip:app/three.bin"]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["release.tgz", "release.zip", "store"]


def test_a_damaged_archive_is_an_error(store: FirmwareStore, tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "cut.tgz", "w:gz") as archive:
        info = tarfile.TarInfo("a.bin")
        info.size = 50_000
        archive.addfile(info, io.BytesIO(os.urandom(50_000)))
    whole = (tmp_path / "cut.tgz").read_bytes()
    (tmp_path / "cut.tgz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(FirmwareStoreError, match="damaged archive"):
        store.add_path(tmp_path / "cut.tgz")


def test_a_missing_path_is_an_error(store: FirmwareStore, tmp_path: Path) -> None:
    with pytest.raises(FirmwareStoreError, match="cannot be read: No such file") as caught:
        store.add_path(tmp_path / "nosuch.bin")
    assert caught.value.path == str(tmp_path / "nosuch.bin")


def test_a_stored_file_altered_on_disk_is_refused_and_repaired_by_adding_again(
    store: FirmwareStore, tmp_path: Path
) -> None:
    path = write(tmp_path, "app.bin", build())
    (module,) = store.add_path(path).added
    stored = store.root / "modules" / f"{module.sha256}.bin"
    stored.write_bytes(stored.read_bytes()[:-1] + b"\x00")
    with pytest.raises(FirmwareStoreError, match="was altered on disk") as caught:
        store.read(module.sha256)
    assert caught.value.path == str(stored)
    assert "firmware add" in caught.value.hint
    store.add_path(path)
    assert store.read(module.sha256) == build()


def test_a_stored_file_that_is_gone_is_an_error(store: FirmwareStore, tmp_path: Path) -> None:
    (module,) = store.add_path(write(tmp_path, "app.bin", build())).added
    (store.root / "modules" / f"{module.sha256}.bin").unlink()
    with pytest.raises(FirmwareStoreError, match="cannot be read: No such file"):
        store.read(module.sha256)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('{"schema": 1, "modules": [', "JSONDecodeError"),
        ("[]", "TypeError"),
        ("[" * 100_000, "RecursionError"),
        ('{"modules": []}', "KeyError: 'schema'"),
        ('{"schema": 2, "modules": []}', "it has schema 2, this program knows 1"),
        ('{"schema": 1, "modules": [{"sha256": "00"}]}', "KeyError"),
    ],
)
def test_a_damaged_index_is_refused_before_anything_is_written(
    store: FirmwareStore, tmp_path: Path, text: str, reason: str
) -> None:
    store.root.mkdir()
    (store.root / "index.json").write_text(text)
    path = write(tmp_path, "app.bin", build())
    for act in (store.modules, lambda: store.add_path(path)):
        with pytest.raises(FirmwareStoreError, match="cannot be used: ") as caught:
            act()
        assert reason in caught.value.message
        assert "move it away" in caught.value.hint
    assert [p.name for p in store.root.iterdir()] == ["index.json"]


def test_full_disk_leaves_no_half_file_and_the_next_try_works(
    store: FirmwareStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = store.add_path(write(tmp_path, "old.bin", build(version=1))).added

    def no_space(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    path = write(tmp_path, "new.bin", build(version=2))
    with monkeypatch.context() as patch:
        patch.setattr("particle_dev.whole_file.os.fsync", no_space)
        with pytest.raises(FirmwareStoreError, match="No space left on device") as caught:
            store.add_path(path)
    assert "free some space" in caught.value.hint
    assert caught.value.path is not None
    assert caught.value.path.startswith(str(store.root / "modules"))
    assert store.modules() == kept
    assert [p.name for p in (store.root / "modules").iterdir()] == [f"{kept[0].sha256}.bin"]
    assert store.add_path(path).ok


def test_a_write_cut_short_by_the_system_leaves_no_half_file(tmp_path: Path) -> None:
    """A file-size limit stands for a full disk: the kernel itself ends the write half-way."""
    path = write(tmp_path, "app.bin", build(body=bytes(100_000)))
    code = (
        "import resource, sys; from pathlib import Path\n"
        "from particle_dev.errors import FirmwareStoreError\n"
        "from particle_dev.flash.store import FirmwareStore\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))\n"
        "try: FirmwareStore(Path(sys.argv[1])).add_path(Path(sys.argv[2]))\n"
        "except FirmwareStoreError as error: print(error)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, tmp_path / "store", path], capture_output=True, text=True, check=True
    )
    assert "cannot be written: File too large; free some space" in done.stdout
    assert list((tmp_path / "store" / "modules").iterdir()) == []


def test_two_processes_adding_at_once_lose_nothing(tmp_path: Path) -> None:
    adders = []
    code = (
        "import sys; from pathlib import Path\n"
        "from particle_dev.flash.store import FirmwareStore\n"
        "store = FirmwareStore(Path(sys.argv[1]))\n"
        "sys.stdin.readline()\n"
        "for path in sorted(Path(sys.argv[2]).iterdir()): assert store.add_path(path).ok"
    )
    for who in range(2):
        folder = tmp_path / f"adder-{who}"
        folder.mkdir()
        for n in range(15):
            (folder / f"{n}.bin").write_bytes(build(version=100 * who + n))
        (folder / "both.bin").write_bytes(build(version=999))
        adders.append(subprocess.Popen([sys.executable, "-c", code, tmp_path / "store", folder], stdin=subprocess.PIPE))
    for adder in adders:
        assert adder.stdin is not None
        adder.stdin.write(b"go\n")
        adder.stdin.close()
    assert [adder.wait(60) for adder in adders] == [0, 0]
    store = FirmwareStore(tmp_path / "store")
    assert [m.version for m in store.modules()] == [*range(15), *range(100, 115), 999]
    assert all(store.read(m.sha256) for m in store.modules())
    assert json.loads((store.root / "index.json").read_text())["schema"] == 1


def test_find_by_slot_and_version(store: FirmwareStore, tmp_path: Path) -> None:
    for version in (9, 7):
        store.add_path(write(tmp_path, f"{version}.bin", build(version=version)))
    store.add_path(write(tmp_path, "tracker.bin", build(platform_id=TRACKER, version=7)))
    assert [m.version for m in store.find(BORON, ModuleFunction.USER_PART, 1)] == [7, 9]
    assert [m.file_name for m in store.find(BORON, ModuleFunction.USER_PART, 1, 9)] == ["9.bin"]
    assert store.find(BORON, ModuleFunction.USER_PART, 2) == ()


def test_device_os_set_has_what_a_release_needs(store: FirmwareStore, tmp_path: Path) -> None:
    release_2_1_0(tmp_path / "files")
    store.add_path(tmp_path / "files")
    release = store.device_os_set("boron", "2.1.0")
    assert (release.platform.name, release.release.name) == ("boron", "2.1.0")
    assert [m.title for m in release.modules] == [
        "boron bootloader 0 v1005",
        "boron radio stack 0 v202",
        "boron system part 1 v2101",
    ]
    assert [m.function.label for m in release.factory_modules] == ["bootloader", "radio stack"]


def test_radio_stack_comes_from_where_the_system_part_came_from(store: FirmwareStore, tmp_path: Path) -> None:
    release_2_1_0(tmp_path / "files")
    store.add_path(tmp_path / "files")
    (tmp_path / "newer").mkdir()
    newer = write(tmp_path / "newer", "newer.bin", build(ModuleFunction.RADIO_STACK, index=0, version=250))
    store.add_path(newer)
    radio_stack = store.device_os_set("boron", "2.1.0").radio_stack
    assert radio_stack is not None
    assert radio_stack.version == 202


def test_missing_modules_are_named_with_what_to_run(store: FirmwareStore, tmp_path: Path) -> None:
    store.add_path(write(tmp_path, "system.bin", build(ModuleFunction.SYSTEM_PART, version=2101)))
    with pytest.raises(FirmwareStoreError) as caught:
        store.device_os_set("boron", "2.1.0")
    assert caught.value.message.endswith("2.1.0 for boron: bootloader 0 v1005, radio stack 0 missing")
    assert caught.value.hint == f"run: particle-dev firmware add --store {store.root} npm:particle-cli@2.12.0"


def test_two_files_for_one_place_are_an_error_not_a_guess(store: FirmwareStore, tmp_path: Path) -> None:
    for folder, body in (("release", b"release"), ("debug", b"debug build")):
        release_2_1_0(tmp_path / folder, system_body=body)
        store.add_path(tmp_path / folder)
    with pytest.raises(FirmwareStoreError, match="claim to be boron system part 1 v2101"):
        store.device_os_set("boron", "2.1.0")


@pytest.mark.parametrize(
    ("platform", "release", "message"),
    [
        ("nosuch", "2.1.0", "no platform nosuch"),
        ("boron", "2.1", "Device OS 2.1 is not in the release table"),
        ("xenon", "2.1.0", "Device OS 2.1.0 was not made for Xenon; it has releases from 0.8.0-rc.13 to 1.5.2"),
        ("p2", "2.1.0", "Device OS 2.1.0 was not made for Photon 2 / P2; it has releases from 3.0.1-p2.1"),
        ("tachyon", "2.1.0", "system part missing"),
    ],
)
def test_sets_that_cannot_exist(store: FirmwareStore, platform: str, release: str, message: str) -> None:
    with pytest.raises(FirmwareStoreError) as caught:
        store.device_os_set(platform, release)
    assert message in str(caught.value)


def test_app_by_name_and_by_hash(store: FirmwareStore, tmp_path: Path) -> None:
    (module,) = store.add_path(write(tmp_path, "app.bin", build())).added
    assert store.app("boron", "app.bin") == module
    assert store.app("boron", module.sha256[:12]) == module
    assert store.app("boron", module.sha256.upper()) == module


def test_app_that_is_missing_ambiguous_or_no_app(store: FirmwareStore, tmp_path: Path) -> None:
    for version in (1, 2):
        (tmp_path / str(version)).mkdir()
        store.add_path(write(tmp_path / str(version), "app.bin", build(version=version)))
    store.add_path(write(tmp_path, "system.bin", build(ModuleFunction.SYSTEM_PART, version=2101)))
    with pytest.raises(FirmwareStoreError, match=r"2 applications for boron match app\.bin"):
        store.app("boron", "app.bin")
    short = store.modules()[-1].sha256[:11]
    for platform, reference in (("tracker", "app.bin"), ("boron", "system.bin"), ("boron", short), ("boron", "")):
        with pytest.raises(FirmwareStoreError, match="has no application"):
            store.app(platform, reference)


@pytest.mark.parametrize(
    "spec",
    ["npm:particle-cli", "npm:particle-cli@latest", "npm:particle-cli@^2.1.0", "npm:../x@1.0.0", "npm:a b@1.0.0"],
)
def test_only_exact_npm_packages_are_taken(store: FirmwareStore, tmp_path: Path, spec: str) -> None:
    with pytest.raises(FirmwareStoreError, match="names no exact npm package"):
        store.add_npm(spec, tmp_path)


def test_npm_tarball_names_as_npm_pack_gives_them() -> None:
    assert parse_npm_spec("npm:particle-cli@2.12.0").tarball_name == "particle-cli-2.12.0.tgz"
    scoped = parse_npm_spec("npm:@particle/device-constants@4.2.1-rc.1")
    assert (scoped.name, scoped.tarball_name) == (
        "@particle/device-constants",
        "particle-device-constants-4.2.1-rc.1.tgz",
    )


def test_a_damaged_package_in_the_cache_is_named(store: FirmwareStore, tmp_path: Path) -> None:
    cached = write(tmp_path, "particle-cli-2.12.0.tgz", b"<html>proxy error</html>")
    with pytest.raises(FirmwareStoreError, match="is a damaged archive") as caught:
        store.add_npm("npm:particle-cli@2.12.0", tmp_path)
    assert caught.value.path == str(cached)
    assert "delete it" in caught.value.hint


def test_a_package_that_npm_cannot_give_leaves_the_cache_clean(store: FirmwareStore, tmp_path: Path) -> None:
    """The npm client itself, in its offline mode with an empty cache of its own: nothing can be fetched."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("npm_config_offline", "true")
        patch.setenv("npm_config_cache", str(tmp_path / "npm"))
        with pytest.raises(FirmwareStoreError, match=r"npm could not fetch npm:particle-cli@2\.12\.0: npm") as caught:
            store.add_npm("npm:particle-cli@2.12.0", tmp_path / "cache")
    assert "ENOTCACHED" in caught.value.message
    assert list((tmp_path / "cache").iterdir()) == []
    assert store.modules() == ()


def test_without_npm_client_the_error_says_how_to_go_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(FirmwareStoreError, match="could not be fetched") as caught:
        npm_tarball(parse_npm_spec("npm:particle-cli@2.12.0"), tmp_path / "cache")
    assert "install the npm client" in caught.value.hint
    assert str(tmp_path / "cache" / "particle-cli-2.12.0.tgz") in caught.value.hint
    assert list((tmp_path / "cache").iterdir()) == []


def test_each_module_of_a_file_is_kept_by_itself(store: FirmwareStore, tmp_path: Path) -> None:
    system, app = build(ModuleFunction.SYSTEM_PART, version=2101), build()
    damaged = app[:-1] + bytes([app[-1] ^ 1])
    path = write(tmp_path, "both.bin", system + app + damaged)
    result = store.add_path(path)
    assert [(m.file_name, m.source) for m in result.added] == [(f"both.bin#{n}", f"{path}#{n}") for n in (1, 2)]
    assert [store.read(m.sha256) for m in result.added] == [system, app]
    (refusal,) = result.refused
    assert (refusal.name, refusal.code) == (f"{path}#3", "crc_mismatch")
    assert refusal.offset == len(system + app + damaged) - 4
