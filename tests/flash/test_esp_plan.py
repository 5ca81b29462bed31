import pytest
from particle_harness.boards import hardware
from particle_harness.esp32.image import ESP32_TARGET, esp_image, partition_table
from particle_harness.factory import build_module

from particle_dev.catalog.modules import ModuleFunction
from particle_dev.errors import FormatError, ModuleFormatError, PlanRefusedError
from particle_dev.flash.esp_plan import esp_file, make_esp_plan

TABLE = partition_table()
IMAGE = esp_image(0x1000)


def ncp_module(platform, size_bytes=0x2000 + 64, **values):
    return build_module(
        hardware(platform),
        ModuleFunction.NCP_FIRMWARE,
        0,
        8,
        start_address=0,
        size_bytes=size_bytes,
        mcu_target=ESP32_TARGET,
        **values,
    )


def places(plan):
    return [(r.address, len(r.data)) for r in plan.regions]


def test_a_module_goes_to_the_first_slot_bare_and_the_boot_choice_follows():
    plan = make_esp_plan([esp_file("ncp.bin", ncp_module("argon"))], TABLE)
    assert places(plan) == [(0x100000, 0x2000), (0x10000, 0x2000)]
    assert plan.regions[0].data[:1] == b"\xe9"
    assert set(plan.regions[1].data) == {0xFF}
    assert plan.slot.label == "ota_0"
    assert plan.size_bytes == 0x4000


def test_an_application_image_by_itself():
    assert places(make_esp_plan([esp_file("app.bin", IMAGE)], TABLE))[0] == (0x100000, 0x1000)


def test_everything_at_its_address_and_the_table_that_is_brought():
    table = partition_table([("otadata", 1, 0, 0x10000, 0x2000), ("ota_0", 0, 0x10, 0x20000, 0xF0000)])
    files = [
        esp_file("boot.bin", IMAGE, 0x1000),
        esp_file("table.bin", table, 0x8000),
        esp_file("app.bin", IMAGE),
    ]
    assert places(make_esp_plan(files))[2:] == [(0x20000, 0x1000), (0x10000, 0x2000)]


def test_a_whole_flash():
    whole = bytearray(b"\xff" * 0x120000)
    whole[0x8000 : 0x8000 + len(TABLE)] = TABLE
    plan = make_esp_plan([esp_file("factory.bin", bytes(whole), 0)])
    assert places(plan) == [(0, 0x120000)]


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "empty"),
        (b"no firmware at all" * 30, "no_prefix"),
        (IMAGE[:-1], "esp_truncated"),
        (esp_image(0x1000, chip_id=9), "esp_wrong_chip"),
        (IMAGE[:100] + b"?" + IMAGE[101:], "esp_checksum"),
        (ncp_module("argon")[:-1], "truncated"),
        (ncp_module("argon", body=bytes(0x2000)), "esp_no_image"),
    ],
)
def test_files_that_are_refused(data, code):
    with pytest.raises(ModuleFormatError) as error:
        esp_file("x.bin", data)
    assert (error.value.code, error.value.file) == (code, "x.bin")


def test_other_modules_and_other_boards():
    app = build_module(hardware("argon"), ModuleFunction.USER_PART, 1, 6, start_address=0xD4000, size_bytes=4096)
    with pytest.raises(ModuleFormatError, match="not for an ESP32"):
        esp_file("app.bin", app)
    with pytest.raises(PlanRefusedError, match="Tracker") as error:
        esp_file("ncp.bin", ncp_module("tracker"))
    assert "particle-dev flash" in error.value.hint


@pytest.mark.parametrize(
    ("data", "address", "kind"),
    [
        (TABLE[:31], 0x8000, FormatError),
        (TABLE, 0x1000, ModuleFormatError),
        (IMAGE, 0x1001, ModuleFormatError),
        (IMAGE[:-9], 0x20000, ModuleFormatError),
        (b"", 0x20000, ModuleFormatError),
    ],
)
def test_files_with_an_address_that_are_refused(data, address, kind):
    with pytest.raises(kind) as error:
        esp_file("x.bin", data, address)
    assert "x.bin" in str(error.value)


@pytest.mark.parametrize(
    ("files", "table", "words"),
    [
        ([esp_file("a", IMAGE)], None, "no partition table"),
        ([esp_file("a", IMAGE)], b"\xff" * 0xC00, "no partition table"),
        ([esp_file("a", IMAGE)], partition_table([("nvs", 1, 2, 0x9000, 0x1000)]), "no application slot"),
        ([esp_file("a", IMAGE), esp_file("b", IMAGE)], TABLE, "b is an application too"),
        ([esp_file("a", esp_image(0x180010))], TABLE, "has 1572880 bytes, ota_0 1572864"),
        ([esp_file("a", IMAGE), esp_file("b", b"x", 0x100FFC)], TABLE, "overlap"),
        ([esp_file("a", bytes(16), 0x3FFFF8)], None, "would end at 0x400008"),
    ],
)
def test_plans_that_are_refused(files, table, words):
    with pytest.raises(PlanRefusedError, match=words) as error:
        make_esp_plan(files, table)
    assert error.value.hint


def test_who_brings_a_boot_choice_keeps_it():
    files = [esp_file("choice.bin", bytes(32), 0x10000), esp_file("app.bin", IMAGE)]
    assert [r.address for r in make_esp_plan(files, TABLE).regions] == [0x10000, 0x100000]
