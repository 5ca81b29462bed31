"""Signed releases: whole and trusted, or refused with the reason, before anything is taken from them."""

import hashlib
import io
import json
import stat
import zipfile
from datetime import UTC, datetime

import pytest

from particle_dev.catalog.modules import ModuleFunction
from particle_dev.errors import ConfigError, FirmwareStoreError, JournalError, ReleaseError
from particle_dev.flash.store import FirmwareStore
from particle_dev.protocol.module import Dependency
from particle_dev.protocol.module_build import ModuleParts, build
from particle_dev.station import release as releases
from particle_dev.station.recipe import load_recipe
from particle_dev.station.release import MANIFEST, SIGNATURE, make_release, read_release, unpack
from particle_dev.station.station_key import SigningKey

AT = datetime(2026, 5, 4, tzinfo=UTC)
RECIPE = """
[recipe]
name = "ship"
finish = "dfu"
[firmware.boron]
device_os = "2.1.0"
app = "app.bin"
restore = "boron.hex"
"""


@pytest.fixture
def store(tmp_path):
    """A store with a Device OS 2.1.0 for the Boron and an application; modules made here."""
    needs = (Dependency(ModuleFunction.BOOTLOADER, 0, 1005),)
    parts = {
        "bootloader.bin": ModuleParts(ModuleFunction.BOOTLOADER, 0, 1005, 13, 0xF4000, bytes(400)),
        "radio.bin": ModuleParts(ModuleFunction.RADIO_STACK, 0, 202, 13, 0x1000, bytes(400)),
        "system.bin": ModuleParts(
            ModuleFunction.SYSTEM_PART, 1, 2101, 13, 0x30000, bytes(99), head=bytes(0x200), dependencies=needs
        ),
        "app.bin": ModuleParts(
            ModuleFunction.USER_PART,
            1,
            6,
            13,
            0xD4000,
            bytes(400),
            dependencies=(Dependency(ModuleFunction.SYSTEM_PART, 1, 2101),),
        ),
    }
    folder = tmp_path / "made"
    folder.mkdir()
    for name, part in parts.items():
        (folder / name).write_bytes(build(part))
    store = FirmwareStore(tmp_path / "store")
    assert store.add_path(folder).ok
    return store


@pytest.fixture
def key(tmp_path):
    return SigningKey.make(tmp_path / "release.key")


@pytest.fixture
def made(tmp_path, store, key):
    source = tmp_path / "source"
    (source / "texts" / "de").mkdir(parents=True)
    (source / "recipe.toml").write_text(RECIPE)
    (source / "boron.hex").write_text(":00000001FF\n")
    (source / "texts" / "de" / "steps.txt").write_text("Einlegen")
    (source / "pins.toml").write_text("[[test]]\nname = 'pins'\n")
    data = make_release(
        source / "recipe.toml",
        store,
        key,
        name="sensor",
        version="7",
        made_at=AT,
        limits=[source / "pins.toml"],
        texts=[source / "texts"],
    )
    path = tmp_path / "sensor-7.zip"
    path.write_bytes(data)
    return path


def members(path):
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def pack(path, files):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items() if isinstance(files, dict) else files:
            archive.writestr(name, data)
    return path


def signed(path, key, files):
    """A release with these files, signed well, whatever they are."""
    listed = [
        {"name": n, "size_bytes": len(d), "sha256": hashlib.sha256(d).hexdigest()} for n, d in sorted(files.items())
    ]
    content = json.dumps(
        {"format": 1, "name": "n", "version": "1", "made_at": "t", "recipe": "recipe/recipe.toml", "files": listed}
    ).encode()
    signature = json.dumps({"public_key": key.public_key, "signature": key.sign(content)}).encode()
    return pack(path, {MANIFEST: content, SIGNATURE: signature, **files})


def refusal(path, trusted=(), **options):
    with pytest.raises(ReleaseError) as caught:
        read_release(path, trusted, **options)
    assert caught.value.path == str(path)
    assert caught.value.hint
    return caught.value.code


def test_a_release_holds_all_that_a_station_needs(made, key, tmp_path):
    release = read_release(made, [key.public_key])

    assert (release.name, release.version, release.signed_by) == ("sensor", "7", key.public_key)
    assert release.under("texts") == {"de/steps.txt": b"Einlegen"}
    assert sorted(release.under("recipe")) == ["boron.hex", "recipe.toml"]
    station_store = FirmwareStore(tmp_path / "station-store")
    recipe = load_recipe(unpack(release, tmp_path / "station", station_store))
    choice = recipe.firmware["boron"]
    assert choice.restore.read_text() == ":00000001FF\n"
    assert len(station_store.device_os_set("boron", choice.device_os).modules) == 3
    assert station_store.read(station_store.app("boron", choice.app).sha256)
    with pytest.raises(FirmwareStoreError, match="not empty"):
        unpack(release, tmp_path / "station", station_store)


def test_the_same_release_is_the_same_file(made, store, key, tmp_path):
    source = tmp_path / "source"
    again = make_release(
        source / "recipe.toml",
        store,
        key,
        name="sensor",
        version="7",
        made_at=AT,
        limits=[source / "pins.toml"],
        texts=[source / "texts"],
    )
    assert again == made.read_bytes()


def test_every_file_that_is_altered_is_found(made, key, tmp_path):
    files = members(made)
    for name in files:
        data = files[name]
        for changed in (data[:-1], bytes([data[0] ^ 1]) + data[1:], data + b" "):
            path = pack(tmp_path / "altered.zip", {**files, name: changed})
            if name == SIGNATURE and changed == data + b" ":
                continue  # the same JSON
            code = refusal(path, [key.public_key], allow_unsigned=True)
            assert code in {"altered", "bad_signature", "not_release"}, name
        if name != SIGNATURE:
            code = refusal(pack(tmp_path / "less.zip", {n: d for n, d in files.items() if n != name}), [key.public_key])
            assert code in {"altered", "not_release"}
    assert refusal(pack(tmp_path / "more.zip", {**files, "texts/more.txt": b""}), [key.public_key]) == "altered"


def test_without_a_trusted_signature_only_who_asks_gets_it(made, key, tmp_path):
    files = members(made)
    unsigned = pack(tmp_path / "unsigned.zip", {n: d for n, d in files.items() if n != SIGNATURE})
    stranger = SigningKey.make(tmp_path / "stranger.key")
    assert refusal(unsigned, [key.public_key]) == "unsigned"
    assert refusal(made, [stranger.public_key]) == "untrusted"
    assert refusal(made) == "untrusted"
    assert read_release(unsigned, [key.public_key], allow_unsigned=True).signed_by is None
    assert read_release(made, [], allow_unsigned=True).signed_by is None
    claims = json.dumps({"public_key": key.public_key, "signature": stranger.sign(files[MANIFEST])}).encode()
    assert refusal(pack(tmp_path / "forged.zip", {**files, SIGNATURE: claims}), [key.public_key]) == "bad_signature"


@pytest.mark.parametrize(
    "name",
    ["../evil.toml", "/etc/passwd", "texts/../../x.txt", "recipe\\x.toml", "texts/run.py", "texts/page.html",
     "texts/a.svg", "texts/con.txt", "texts/x.txt.", "firmware/x.sh", "other/x.txt", "texts/.hidden.txt",
     "texts/\u0430.txt", "C:x.txt"],
)  # fmt: skip
def test_names_that_lead_elsewhere_or_could_run_are_refused(name, key, tmp_path):
    path = signed(tmp_path / "bad.zip", key, {"recipe/recipe.toml": b"", name: b"x"})
    assert refusal(path, [key.public_key]) in {"bad_name", "altered"}


def test_links_and_names_that_come_twice_are_refused(key, tmp_path):
    path = signed(tmp_path / "link.zip", key, {"recipe/recipe.toml": b"/etc/passwd"})
    files = members(path)
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in files.items():
            member = zipfile.ZipInfo(name)
            member.external_attr = (stat.S_IFLNK | 0o777) << 16
            archive.writestr(member, data)
    assert refusal(path, [key.public_key]) == "bad_name"
    with pytest.warns(UserWarning, match="Duplicate name"):
        pack(path, [*files.items(), ("recipe/recipe.toml", b"/etc/passwd")])
    assert refusal(path, [key.public_key]) == "altered"


def test_bombs_are_refused_while_they_are_read(key, tmp_path, monkeypatch):
    monkeypatch.setattr(releases, "MAX_FILE_BYTES", 1 << 20)
    bomb = signed(tmp_path / "bomb.zip", key, {"recipe/recipe.toml": b"", "texts/zeros.txt": bytes(3 << 20)})
    assert bomb.stat().st_size < 10_000
    assert refusal(bomb, [key.public_key]) == "too_large"
    lying = bomb.read_bytes().replace((3 << 20).to_bytes(4, "little"), (1000).to_bytes(4, "little"))
    (tmp_path / "lying.zip").write_bytes(lying)
    assert refusal(tmp_path / "lying.zip", [key.public_key]) in {"altered", "not_release", "too_large"}
    monkeypatch.setattr(releases, "MAX_TOTAL_BYTES", 2 << 20)
    many = {f"texts/{n}.txt": bytes(1 << 20) for n in range(3)}
    assert (
        refusal(signed(tmp_path / "many.zip", key, {"recipe/recipe.toml": b"", **many}), [key.public_key])
        == "too_large"
    )
    crowd = {f"texts/{n}.txt": b"" for n in range(releases.MAX_FILES + 1)}
    assert refusal(signed(tmp_path / "crowd.zip", key, crowd), [key.public_key]) == "too_large"
    monkeypatch.setattr(releases, "MAX_ARCHIVE_BYTES", 100)
    assert refusal(bomb, [key.public_key]) == "too_large"
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(MANIFEST, bytes(2 << 20))
    monkeypatch.setattr(releases, "MAX_ARCHIVE_BYTES", 1 << 20)
    (tmp_path / "manifest.zip").write_bytes(buffer.getvalue())
    assert refusal(tmp_path / "manifest.zip", [key.public_key]) == "too_large"


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"no zip " * 100], ids=["empty", "cut", "other"])
def test_what_is_no_release_is_said_to_be_none(content, tmp_path, key):
    (tmp_path / "x.zip").write_bytes(content)
    assert refusal(tmp_path / "x.zip", [key.public_key]) == "not_release"
    assert refusal(tmp_path / "nowhere.zip", [key.public_key]) == "unreadable"
    assert refusal(pack(tmp_path / "y.zip", {"a": b"b"}), [key.public_key]) == "not_release"


def test_a_recipe_whose_files_lie_elsewhere_makes_no_release(tmp_path, store, key):
    (tmp_path / "boron.hex").write_text("")
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "recipe.toml").write_text(RECIPE.replace("boron.hex", "../boron.hex"))
    with pytest.raises(ConfigError, match="beside or below"):
        make_release(tmp_path / "sub" / "recipe.toml", store, key, name="n", version="1", made_at=AT)


def test_a_signing_key_is_made_once_and_private(tmp_path):
    SigningKey.make(tmp_path / "key")
    assert stat.S_IMODE((tmp_path / "key").stat().st_mode) == 0o600
    with pytest.raises(JournalError, match="exists"):
        SigningKey.make(tmp_path / "key")
    with pytest.raises(JournalError, match="No such file"):
        SigningKey.read(tmp_path / "nokey")
