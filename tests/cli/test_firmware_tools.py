"""``particle-dev firmware build-bundle|compress|expand|set-product|diff``."""

import hashlib
import json

import pytest
from click.testing import CliRunner

from particle_dev.catalog.modules import ModuleFunction
from particle_dev.cli.exit_codes import ExitCode
from particle_dev.cli.main import main
from particle_dev.cli.root import root
from particle_dev.errors import ModuleFormatError, ProductVersionError
from particle_dev.protocol.module import Dependency, Product, parse
from particle_dev.protocol.module_build import ModuleParts, build
from particle_dev.protocol.module_edit import combine, set_product

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
    of_file = hashlib.sha256(out.read_bytes()).hexdigest()
    assert of_file != same
    for digest in (of_file, of_file.upper()):
        run("set-product", 1234, 7, app_file, out, "--existing", f"7:{digest}", "--existing", "9", "--force")
    of_other = hashlib.sha256(APP).hexdigest()
    error = error_of("set-product", 1234, 7, app_file, out, "--existing", f"7:{of_other}", "--force")
    assert isinstance(error, ProductVersionError)


def test_set_product_tells_old_and_new(app_file, tmp_path):
    first, second = tmp_path / "first.bin", tmp_path / "second.bin"
    assert "product none -> 1234 version 7," in run("set-product", 1234, 7, app_file, first)
    assert "product 1234 version 7 -> 1234 version 8," in run("set-product", 1234, 8, first, second)
    document = json.loads(run("set-product", 99, 9, first, second, "--force", "--json"))
    assert document["product_before"] == {"id": 1234, "version": 7}
    assert document["product"] == {"id": 99, "version": 9}


def test_set_product_to_a_version_that_is_not_higher_is_refused(app_file, tmp_path, capsys):
    with pytest.raises(SystemExit) as exit_:
        main(["firmware", "set-product", "1", "7", str(app_file), str(tmp_path / "out.bin"), "--existing", "65535"])
    assert exit_.value.code == ExitCode.REFUSED
    assert "this product can take no more firmware" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["65536", "1"], "0<=x<=65535"),
        (["abc", "1"], "'abc' is no number from 0 to 65535"),
        (["1", "0"], "1<=x<=65535"),
        (["1", "65536"], "PRODUCT_VERSION"),
        (["65535", "65535"], "belongs to no product"),
        (["1", "1", "--existing", "x"], "PRODUCT_VERSION:SHA256"),
        (["1", "1", "--existing", "70000"], "from 1 to 65535"),
        (["1", "1", "--existing", "0"], "from 1 to 65535"),
    ],
)
def test_numbers_out_of_range_are_usage_errors(app_file, tmp_path, arguments, words):
    out = tmp_path / "out.bin"
    result = CliRunner().invoke(
        root, ["firmware", "set-product", *arguments[:2], str(app_file), str(out), *arguments[2:]]
    )
    assert result.exit_code == ExitCode.USAGE
    assert words in " ".join(result.output.split())
    assert not out.exists()


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
    assert "with 1 asset\n" in run("build-bundle", app_file, single, "--out", tmp_path / "b.zip")


def test_a_bundle_that_no_device_takes_is_not_written(app_file, tmp_path):
    app_file.write_bytes(build(ModuleParts(ModuleFunction.USER_PART, 2, 6, 13, 0xB4000, bytes(2000))))
    error = error_of("build-bundle", app_file, app_file)
    assert isinstance(error, ModuleFormatError)
    assert error.code == "device_os_too_old"
    assert not (tmp_path / "app.zip").exists()
    missing = error_of("build-bundle", tmp_path / "missing", app_file)
    assert (missing.code, missing.file) == ("unreadable", str(tmp_path / "missing"))


def test_diff(app_file, tmp_path):
    other = tmp_path / "other.bin"
    other.write_bytes(set_product(APP, Product(1234, 7)))
    assert run("diff", app_file, app_file) == "The files are equal.\n"
    text = run("diff", app_file, other)
    assert "product: none -> 1234 version 7\n" in text
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


SYSTEM_PART = build(ModuleParts(ModuleFunction.SYSTEM_PART, 1, 5500, 13, 0x30000, b"x" * 99))


@pytest.mark.parametrize("join", [combine, b"".join])
def test_a_file_of_several_modules_comes_apart(tmp_path, join):
    both = tmp_path / "both.bin"
    both.write_bytes(join([SYSTEM_PART, APP]))
    out = tmp_path / "parts" / "here"
    document = json.loads(run("split", both, "--out", out, "--json"))
    targets = [out / "boron-system-part1-5500.bin", out / "boron-user-part2-6.bin"]
    assert [m["file"] for m in document["modules"]] == [str(t) for t in targets]
    assert [t.read_bytes() for t in targets] == [SYSTEM_PART, APP]
    targets[1].write_bytes(b"mine")
    assert "exists already" in str(error_of("split", both, "--out", out))
    assert targets[1].read_bytes() == b"mine"
    run("split", both, "--out", out, "--force")
    assert targets[1].read_bytes() == APP
    assert sorted(out.iterdir()) == targets


def test_split_writes_all_or_nothing_and_gives_twins_names_of_their_own(tmp_path):
    both, out = tmp_path / "both.bin", tmp_path / "out"
    for tail in (APP[:-1], APP[:-1] + b"?", APP + b"junk"):
        both.write_bytes(SYSTEM_PART + tail)
        error = error_of("split", both, "--out", out)
        assert error.file == f"{both}#2"
        assert error.offset >= len(SYSTEM_PART)
        assert not out.exists()
    both.write_bytes(APP + APP)
    run("split", both, "--out", out)
    assert sorted(p.name for p in out.iterdir()) == ["boron-user-part2-6-2.bin", "boron-user-part2-6.bin"]


@pytest.mark.parametrize(
    "arguments",
    [["set-product", "1", "9", "{both}", "{out}"], ["compress", "{both}", "{out}"], ["expand", "{both}", "{out}"]],
)
def test_tools_for_one_module_send_others_to_split(tmp_path, arguments):
    both, out = tmp_path / "both.bin", tmp_path / "out.bin"
    both.write_bytes(combine([SYSTEM_PART, APP]))
    error = error_of(*[a.format(both=both, out=out) for a in arguments])
    assert (error.code, error.file) == ("combined", str(both))
    assert "firmware split" in error.hint
    assert not out.exists()


@pytest.mark.parametrize(
    "arguments",
    [
        ["compress", "{bad}", "{out}"],
        ["expand", "{bad}", "{out}"],
        ["set-product", "1", "9", "{bad}", "{out}"],
        ["build-bundle", "{bad}", "{good}", "--out", "{out}"],
        ["split", "{bad}", "--out", "{out}"],
        ["diff", "{cut}", "{good}"],
        ["diff", "{good}", "{cut}"],
    ],
)
def test_every_command_names_code_file_and_offset(app_file, tmp_path, arguments, capsys):
    bad, cut = tmp_path / "bad.bin", tmp_path / "cut.bin"
    bad.write_bytes(APP[:-1] + b"?")
    cut.write_bytes(APP[:-1])
    names = {"bad": bad, "cut": cut, "good": app_file, "out": tmp_path / "out"}
    words = ["firmware", *(a.format(**names) for a in arguments)]
    with pytest.raises(SystemExit) as exit_:
        main([*words, "--json"])
    assert exit_.value.code == ExitCode.BAD_INPUT
    error = json.loads(capsys.readouterr().out)["error"]
    file, code, offset = (
        (cut, "truncated", len(APP) - 1) if "{cut}" in arguments else (bad, "crc_mismatch", len(APP) - 4)
    )
    assert (error["file"], error["code"], error["offset"]) == (str(file), code, offset)
    with pytest.raises(SystemExit):
        main(words)
    assert f"({code} at offset 0x{offset:X})" in capsys.readouterr().err


def test_errors_about_what_a_module_is_name_the_file_too(app_file, tmp_path):
    system = tmp_path / "system.bin"
    system.write_bytes(SYSTEM_PART)
    for arguments, code in (
        (("set-product", 1, 9, system, tmp_path / "out"), "not_application"),
        (("expand", system, tmp_path / "out"), "not_compressed"),
        (("build-bundle", system, app_file), "not_application"),
    ):
        error = error_of(*arguments)
        assert (error.file, error.code) == (str(system), code)


def test_standard_input(app_file, tmp_path):
    def run_with(*arguments):
        return CliRunner().invoke(root, ["firmware", *map(str, arguments)], input=APP)

    assert run_with("set-product", 1234, 7, "-", tmp_path / "out.bin").exit_code == ExitCode.OK
    assert (tmp_path / "out.bin").read_bytes() == set_product(APP, Product(1234, 7))
    assert run_with("diff", "-", app_file).output == "The files are equal.\n"
    assert run_with("split", "-", "--out", tmp_path / "parts").exit_code == ExitCode.OK
    assert "does not run" in run_with("check", "--platform", "boron", "--device-os", "2.1.0", "-").output
    for refused in (
        ("add", "-"),
        ("build-bundle", "-", app_file),
        ("build-bundle", app_file, "-"),
        ("compress", app_file, "-"),
        ("diff", "-", "-"),
    ):
        result = run_with(*refused)
        assert (result.exit_code, "tandard input" in result.output) == (ExitCode.USAGE, True), result.output


def test_diff_says_it_in_words(app_file, tmp_path):
    other = tmp_path / "other.bin"
    newer = (Dependency(ModuleFunction.SYSTEM_PART, 1, 6000), Dependency(ModuleFunction.BOOTLOADER, 0, 1005))
    other.write_bytes(build(ModuleParts(ModuleFunction.USER_PART, 2, 6, 13, 0xB4000, bytes(2000), dependencies=newer)))
    text = run("diff", app_file, other)
    assert "dependencies:\n  A  system part 1 >= 5500\n  B  system part 1 >= 6000, bootloader 0 >= 1005\n" in text
    assert "{" not in text
    one, two = tmp_path / "one.bin", tmp_path / "two.bin"
    one.write_bytes(set_product(APP, Product(1, 2)))
    two.write_bytes(set_product(APP, Product(1, 3)))
    assert "product: 1 version 2 -> 1 version 3\n" in run("diff", one, two)
    app_file.write_bytes(APP[:-1] + bytes([APP[-1] ^ 1]))
    one.write_bytes(APP)
    assert "1 byte in 1 range differs\n" in run("diff", one, app_file)


def test_check_judges_the_application_of_a_combined_file(tmp_path):
    both = tmp_path / "both.bin"
    both.write_bytes(combine([SYSTEM_PART, APP]))
    result = CliRunner().invoke(
        root, ["firmware", "check", "--platform", "boron", "--device-os", "6.0.0", "--json", str(both)]
    )
    (answer,) = json.loads(result.output)["applications"]
    assert (answer["file"], answer["title"], answer["runs"]) == ("both.bin#2", "user part 2 v6", True)
