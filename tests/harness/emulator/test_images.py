"""Images that a user holds: found by what they are, not by what they are called."""

import pytest
from particle_harness.boards import hardware
from particle_harness.emulator.boards.images import FOLDER_VARIABLE, ImagesFolder, images_folder, of_modules
from particle_harness.factory import bootloader_stand_in, softdevice_stand_in, system_stand_ins

from particle_dev.errors import BenchError

BORON, PHOTON = hardware("boron"), hardware("photon")


@pytest.fixture
def folder(tmp_path):
    modules = [
        bootloader_stand_in(BORON, 1005),
        bootloader_stand_in(BORON, 1006),
        softdevice_stand_in(BORON),
        *system_stand_ins(BORON, 2101, 1005),
        bootloader_stand_in(PHOTON, 1005),
        *system_stand_ins(PHOTON, 2101, 1005),
    ]
    sub = tmp_path / "deep" / "down"
    sub.mkdir(parents=True)
    for number, module in enumerate(modules):
        (sub / f"{number}.bin").write_bytes(module)
    damaged = bytearray(bootloader_stand_in(hardware("argon"), 1005))
    damaged[5000] ^= 1
    (sub / "damaged.bin").write_bytes(damaged)
    (sub / "text.bin").write_text("no module")
    (sub / "other.bin").write_bytes(bootloader_stand_in(hardware("p2"), 3000))
    return tmp_path


def versions(images):
    return [(i.prefix.function, i.prefix.index, i.prefix.version) for i in images.all]


def test_boards_with_a_sound_bootloader_are_there(folder):
    assert ImagesFolder(folder).platforms() == ("boron", "photon")


def test_a_new_board_gets_the_newest_bootloader_and_no_system(folder):
    assert versions(ImagesFolder(folder).for_board(BORON)) == [(2, 0, 1006), (8, 0, 202)]
    assert versions(ImagesFolder(folder).for_board(PHOTON)) == [(2, 0, 1005)]


def test_a_release_brings_its_own_bootloader_and_system_parts(folder):
    images = ImagesFolder(folder)
    assert versions(images.for_board(BORON, "2.1.0")) == [(2, 0, 1005), (8, 0, 202), (4, 1, 2101)]
    assert versions(images.for_board(PHOTON, "2.1.0")) == [(2, 0, 1005), (4, 1, 2101), (4, 2, 2101)]


def test_a_softdevice_is_laid_down_without_its_prefix(folder):
    image = ImagesFolder(folder).for_board(BORON).softdevice
    assert image.payload == image.data[24:]
    assert image.prefix.start_address == 0x1000


@pytest.mark.parametrize(
    ("kind", "release", "what"),
    [
        ("boron", "2.2.0", "system part of Device OS 2.2.0"),
        ("argon", None, "bootloader for argon"),
        ("boron", "9.9.9", "no Device OS '9.9.9'"),
    ],
)
def test_what_is_missing_is_named(folder, kind, release, what):
    with pytest.raises(BenchError, match=what) as error:
        ImagesFolder(folder).for_board(hardware(kind), release)
    assert error.value.hint


@pytest.mark.parametrize(
    ("kind", "gone", "damage", "what"),
    [
        (
            "boron",
            2,
            False,
            "SoftDevice of version 202 or later, which system part 1 of Device OS 2.1.0 needs, for boron",
        ),
        ("boron", 2, True, r"SoftDevice of version 202 or later.* for boron; .*CRC is wrong: .*2\.bin"),
        ("photon", 6, False, "system part 2 of version 207 or later, which system part 1 of Device OS 2.1.0 needs"),
        ("photon", 5, False, "system part 1 of version 2101 or later, which system part 2 of Device OS 2.1.0 needs"),
    ],
)
def test_what_a_system_part_needs_has_to_be_there_and_sound(folder, kind, gone, damage, what):
    file = folder / "deep" / "down" / f"{gone}.bin"
    content = bytearray(file.read_bytes())
    content[-10] ^= 1
    if damage:
        file.write_bytes(content)
    else:
        file.unlink()
    with pytest.raises(BenchError, match=what):
        ImagesFolder(folder).for_board(hardware(kind), "2.1.0")
    assert ImagesFolder(folder).for_board(hardware(kind)).system == ()


def test_without_a_folder_there_is_one_sentence_what_to_do_and_the_licences(monkeypatch, tmp_path):
    monkeypatch.delenv(FOLDER_VARIABLE, raising=False)
    monkeypatch.delenv("PARTICLE_DEV_STORE", raising=False)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    with pytest.raises(BenchError, match="images of yours, and no folder") as error:
        images_folder()
    for word in (FOLDER_VARIABLE, "firmware add", "Nordic", "ST", "ships no image"):
        assert word in error.value.hint


def test_an_empty_folder_says_so(monkeypatch, tmp_path):
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path))
    with pytest.raises(BenchError, match="holds no bootloader"):
        images_folder()


@pytest.mark.parametrize("is_file", [False, True])
def test_the_hint_is_about_what_named_the_folder_and_not_about_licences(monkeypatch, tmp_path, is_file):
    wrong = tmp_path / "nope"
    if is_file:
        wrong.touch()
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path))
    with pytest.raises(BenchError, match="nope is no folder") as error:
        images_folder(wrong)
    assert "correct `images` in the bench file" in error.value.hint
    assert FOLDER_VARIABLE not in error.value.hint
    monkeypatch.setenv(FOLDER_VARIABLE, str(wrong))
    with pytest.raises(BenchError, match="nope is no folder") as of_environment:
        images_folder()
    assert f"correct {FOLDER_VARIABLE}" in of_environment.value.hint
    assert "Nordic" not in error.value.hint + of_environment.value.hint


@pytest.mark.parametrize("by_variable", [False, True])
def test_the_home_of_a_user_that_there_is_not_is_no_folder(monkeypatch, by_variable):
    name = "~nosuchuser/x"
    monkeypatch.setenv(FOLDER_VARIABLE, name if by_variable else "")
    with pytest.raises(BenchError, match="and ~nosuchuser/x is no folder"):
        images_folder(None if by_variable else name)


def test_the_users_firmware_store_will_do(monkeypatch, tmp_path, folder):
    monkeypatch.delenv(FOLDER_VARIABLE, raising=False)
    monkeypatch.delenv("PARTICLE_DEV_STORE", raising=False)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    store = tmp_path / "data" / "particle-dev" / "firmware"
    store.parent.mkdir(parents=True)
    (folder / "deep").rename(store)
    assert images_folder().platforms() == ("boron", "photon")


def test_the_folder_that_is_chosen_comes_first(monkeypatch, tmp_path, folder):
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path / "nowhere"))
    assert images_folder(folder).platforms() == ("boron", "photon")
    with pytest.raises(BenchError, match="nowhere is no folder"):
        images_folder()


def test_modules_at_hand_make_a_board_when_a_bootloader_is_among_them():
    assert of_modules([softdevice_stand_in(BORON)]) is None
    images = of_modules([softdevice_stand_in(BORON), bootloader_stand_in(BORON, 1005)])
    assert versions(images) == [(2, 0, 1005), (8, 0, 202)]


def test_folders_that_are_linked_to_are_looked_into_once(folder, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    (other / "link").symlink_to(folder)
    (other / "circle").symlink_to(other)
    assert ImagesFolder(other).platforms() == ("boron", "photon")
    assert len(ImagesFolder(other).images()) == 7
