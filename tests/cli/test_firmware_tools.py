"""``particle-dev firmware build-bundle|compress|expand|set-product|diff``."""

import json

import pytest
from click.testing import CliRunner

from particle_dev.catalog.modules import ModuleFunction
from particle_dev.cli.exit_codes import ExitCode
from particle_dev.cli.root import root
from particle_dev.errors import FirmwareStoreError, ModuleFormatError, ProductVersionError
from particle_dev.protocol.module import Dependency, Product, parse
from particle_dev.protocol.module_build import ModuleParts, build
from particle_dev.protocol.module_edit import set_product

SYSTEM_5500 = (Dependency(ModuleFunction.SYSTEM_PART, 1, 5500),)
APP = build(ModuleParts(ModuleFunction.USER_PART, 2, 6, 13, 0xB4000, bytes(2000), dependencies=SYSTEM_5500))


@pytest.fixture
def app_file(tmp_path):
    path = tmp_path / "app.bin"
    path.write_bytes(APP)
    return path


def run(*arguments):
    result = CliRunner().invoke(root, ["firmware", *map(str, arguments)])
    assert result.exit_code == ExitCode.OK, result.output
    return result.stdout


def error_of(*arguments):
    return CliRunner().invoke(root, ["firmware", *map(str, arguments)]).exception


def test_compress_and_expand(app_file, tmp_path):
    small, again = tmp_path / "small.bin", tmp_path / "again.bin"
    assert f"before {len(APP)}" in run("compress", app_file, small)
    assert json.loads(run("expand", small, again, "--json"))["problems"] == []
    assert again.read_bytes() == APP
    assert len(small.read_bytes()) < len(APP)


def test_damaged_input_is_refused_with_file_and_offset(app_file, tmp_path):
    app_file.write_bytes(APP[:-1] + b"?")
    error = error_of("compress", app_file, tmp_path / "out.bin")
    assert isinstance(error, ModuleFormatError)
    assert (error.file, error.offset, error.code) == (str(app_file), len(APP) - 4, "crc_mismatch")
    assert not (tmp_path / "out.bin").exists()


def test_set_product(app_file, tmp_path):
    out = tmp_path / "out.bin"
    run("set-product", 1234, 7, app_file, out, "--existing", 6, "--existing", f"3:{'0' * 64}")
    assert out.read_bytes() == set_product(APP, Product(1234, 7))
    assert parse(out.read_bytes()).product == Product(1234, 7)


def test_no_file_replaces_what_it_is_made_from(app_file, tmp_path):
    asset = tmp_path / "asset.txt"
    asset.write_text("x")
    for arguments in (
        ("compress", app_file, app_file),
        ("set-product", 1, 1, app_file, tmp_path / "." / "app.bin"),
        ("build-bundle", app_file, asset, "--out", app_file),
        ("build-bundle", app_file, asset, "--out", asset),
    ):
        assert "would replace" in str(error_of(*arguments))
    assert app_file.read_bytes() == APP
    assert asset.read_text() == "x"


def test_bundle_of_nothing(app_file, tmp_path):
    (tmp_path / "empty").mkdir()
    assert "no file in" in str(error_of("build-bundle", app_file, tmp_path / "empty"))


def test_set_product_keeps_the_rule_of_products(app_file, tmp_path):
    out = tmp_path / "out.bin"
    for existing in ("7", "8", f"7:{'0' * 64}"):
        assert isinstance(error_of("set-product", 1234, 7, app_file, out, "--existing", existing), ProductVersionError)
    assert not out.exists()
    same = parse(set_product(APP, Product(1234, 7))).sha256.stored.hex()
    run("set-product", 1234, 7, app_file, out, "--existing", f"7:{same}", "--existing", "9")


@pytest.mark.parametrize("arguments", [["65536", "1"], ["1", "0"], ["1", "65536"], ["1", "1", "--existing", "x"]])
def test_numbers_out_of_range_are_usage_errors(app_file, arguments):
    result = CliRunner().invoke(root, ["firmware", "set-product", *arguments[:2], str(app_file), "x", *arguments[2:]])
    assert result.exit_code == ExitCode.USAGE


def test_build_bundle_and_inspect_it(app_file, tmp_path):
    (tmp_path / "assets").mkdir()
    (tmp_path / "assets" / "logo.png").write_bytes(b"pixels")
    single = tmp_path / "sound.wav"
    single.write_bytes(b"noise")
    summary = json.loads(run("build-bundle", app_file, tmp_path / "assets", single, "--json"))
    assert [a["name"] for a in summary["assets"]] == ["logo.png", "sound.wav"]
    bundle = tmp_path / "app.zip"
    result = CliRunner().invoke(root, ["inspect", "--json", str(bundle)])
    assert result.exit_code == ExitCode.OK
    assert [e["name"] for e in json.loads(result.stdout)["extensions"]] == ["ASSET_DEPENDENCY"] * 2
    assert "with 1 assets" in run("build-bundle", app_file, single, "--out", tmp_path / "b.zip")


def test_a_bundle_that_no_device_takes_is_not_written(app_file, tmp_path):
    app_file.write_bytes(build(ModuleParts(ModuleFunction.USER_PART, 2, 6, 13, 0xB4000, bytes(2000))))
    error = error_of("build-bundle", app_file, app_file)
    assert isinstance(error, ModuleFormatError)
    assert error.code == "device_os_too_old"
    assert not (tmp_path / "app.zip").exists()
    assert isinstance(error_of("build-bundle", tmp_path / "missing", app_file), FirmwareStoreError)


def test_diff(app_file, tmp_path):
    other = tmp_path / "other.bin"
    other.write_bytes(set_product(APP, Product(1234, 7)))
    assert run("diff", app_file, app_file) == "The files are equal.\n"
    text = run("diff", app_file, other)
    assert "product.version:\n  A  none\n  B  7\n" in text
    assert f"address 0x{0xB4000 + len(APP) - 44:08X}: product id and version" in text
    document = json.loads(run("diff", "--json", app_file, other))
    assert document["identical"] is False
    assert [r["region"] for r in document["ranges"]] == ["product id and version", "suffix with SHA-256", "CRC-32"]


def test_many_differences_are_cut_in_text_only(app_file, tmp_path):
    body = bytearray(2000)
    body[::40] = b"\1" * 50
    other = tmp_path / "other.bin"
    other.write_bytes(
        build(ModuleParts(ModuleFunction.USER_PART, 2, 6, 13, 0xB4000, bytes(body), dependencies=SYSTEM_5500))
    )
    assert "12 more" in run("diff", app_file, other)
    assert len(json.loads(run("diff", "--json", app_file, other))["ranges"]) == 52
