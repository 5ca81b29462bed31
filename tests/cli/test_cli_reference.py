"""docs/cli.md names what there is, and its JSON is what is printed."""

import json
import re
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from particle_dev.catalog.modules import ModuleFunction
from particle_dev.cli.exit_codes import ExitCode
from particle_dev.cli.root import root
from particle_dev.protocol.compressed import compress
from particle_dev.protocol.module import Dependency, Product
from particle_dev.protocol.module_build import (
    ModuleParts,
    Suffix,
    asset_dependency,
    build,
    end_of_extensions,
)

REFERENCE = (Path(__file__).parents[2] / "docs" / "cli.md").read_text()


def commands(command=root, path=(), parent=None):
    context = click.Context(command, parent=parent, info_name=path[-1] if path else "particle-dev")
    if not isinstance(command, click.Group):
        yield " ".join(path), command
        return
    for name in command.list_commands(context):
        yield from commands(command.get_command(context, name), (*path, name), context)


def about(name):
    """The section under the heading of a command, or its row in a table."""
    lines = REFERENCE.splitlines()
    named = re.compile(rf"`{re.escape(name)}[ `]")
    start = next((n for n, line in enumerate(lines) if line.startswith(("### ", "| `")) and named.search(line)), None)
    assert start is not None, f"docs/cli.md does not name {name}"
    if lines[start].startswith("|"):
        return lines[start]
    end = next((n for n in range(start + 1, len(lines)) if lines[n].startswith("#")), len(lines))
    return "\n".join(lines[start:end])


@pytest.mark.parametrize(("name", "command"), list(commands()))
def test_every_command_and_option_is_named(name, command):
    text = about(name)
    shared = {"--json"} | ({"--store"} if name.startswith("firmware ") else set())
    options = {o for p in command.params if isinstance(p, click.Option) for o in p.opts if o.startswith("--")}
    missing = {o for o in options - shared if not re.search(rf"{o}(?![\w-])", text)}
    assert not missing, f"docs/cli.md does not name {missing} of {name}"
    if "--store" in options:
        assert "--store" in REFERENCE


@pytest.mark.parametrize(("name", "command"), list(commands()))
def test_every_command_takes_json(name, command):
    assert any("--json" in p.opts for p in command.params), name


def test_commands_of_other_packages_are_among_them():
    assert {"sim attach", "sim esp32", "swd flash"} <= {name for name, _ in commands()}


def test_no_command_is_named_that_there_is_not():
    known = {name for name, _ in commands()}
    named = re.findall(r"`((?:cloud|esp|firmware|label|records|station|sim|swd)(?: [a-z0-9-]+){1,2})", REFERENCE)
    # Two words or three; what follows two may be an argument.
    assert [n for n in named if n not in known and " ".join(n.split()[:2]) not in known] == []
    assert len(named) >= 10


def test_what_to_do_names_commands_that_there_are():
    known = {name for name, _ in commands()}
    groups = {name.rpartition(" ")[0] for name in known} - {""}
    for path in (Path(__file__).parents[2] / "particle_dev").rglob("*.py"):
        for words in re.findall(
            r"particle-dev ((?:cloud|esp|firmware|label|records|release|station|sim|swd)(?: [a-z0-9-]+)*)",
            path.read_text(),
        ):
            parts = words.split()
            found = {" ".join(parts[:n]) for n in range(1, len(parts) + 1)}
            assert found & known or words in groups, f"{path.name}: particle-dev {words}"


def shape(value):
    """Keys all the way down; of lists the first element. None where there is nothing to compare."""
    if isinstance(value, dict):
        return {key: shape(inner) for key, inner in value.items()}
    return [shape(value[0])] if isinstance(value, list) and value else None


def documented(name):
    return shape(json.loads(re.search(r"```json\n(.*?)```", about(name), re.DOTALL)[1]))


def printed(*arguments):
    result = CliRunner().invoke(root, [*map(str, arguments), "--json"])
    assert result.exit_code in (ExitCode.OK, ExitCode.BAD_INPUT, ExitCode.REFUSED), result.output
    return json.loads(result.stdout.splitlines()[0])


def app(version=6, needs=9999, padding=400):
    suffix = Suffix((asset_dependency("logo.png", bytes(32)), end_of_extensions())).with_product(Product(1234, version))
    needs = (Dependency(ModuleFunction.SYSTEM_PART, 1, needs),)
    return build(
        ModuleParts(ModuleFunction.USER_PART, 1, version, 13, 0xD4000, bytes(padding), suffix, dependencies=needs)
    )


@pytest.fixture
def files(tmp_path):
    for name, data in {
        "app.bin": app(),
        "other.bin": app(7, 2101),
        "damaged.bin": app()[:-1] + b"?",
        "packed.bin": compress(app())[:-1] + b"?",
        "old.bin": app(needs=2101),
        "plain.bin": build(
            ModuleParts(
                ModuleFunction.USER_PART,
                2,
                6,
                13,
                0xB4000,
                bytes(400),
                dependencies=(Dependency(ModuleFunction.SYSTEM_PART, 1, 5500),),
            )
        ),
        "logo.png": b"pixels",
    }.items():
        (tmp_path / name).write_bytes(data)
    return tmp_path


def test_inspect(files):
    assert shape(printed("inspect", files / "packed.bin")) == documented("inspect")


def test_firmware_check(files):
    answer = printed("firmware", "check", "--device-os", "2.1.0", files / "app.bin", files / "damaged.bin")
    assert shape(answer) == documented("firmware check")


def test_firmware_add_and_list(files):
    (files / "folder").mkdir()
    (files / "folder" / "notes.bin").write_bytes(b"no module" * 9)
    (files / "folder" / "damaged.bin").write_bytes((files / "damaged.bin").read_bytes())
    store = ("--store", files / "store")
    assert shape(printed("firmware", "add", *store, files / "folder")) == documented("firmware add")
    release_part = ModuleParts(
        ModuleFunction.SYSTEM_PART,
        1,
        2101,
        13,
        0x30000,
        bytes(99),
        head=bytes(0x200),
        suffix=Suffix().with_product(Product(1, 1)),
        dependencies=(Dependency(ModuleFunction.BOOTLOADER, 0, 1005),),
    )
    (files / "system.bin").write_bytes(build(release_part))
    printed("firmware", "add", *store, files / "system.bin")
    printed("firmware", "add", *store, files / "app.bin")
    listed = printed("firmware", "list", *store)
    shapes = documented("firmware list")
    assert {key for module in listed["modules"] for key in module} == set(shapes["modules"][0])
    application = next(m for m in listed["modules"] if m["kind"] == "user part")
    assert shape(application) | {"device_os": [None]} == shapes["modules"][0]


def test_firmware_build_bundle(files):
    bundle = printed("firmware", "build-bundle", files / "plain.bin", files / "logo.png", "--out", files / "b.zip")
    assert shape(bundle) == documented("firmware build-bundle")


def test_firmware_diff(files):
    difference = printed("firmware", "diff", files / "app.bin", files / "other.bin")
    assert shape(difference) == documented("firmware diff")


def test_errors(files, capsys):
    from particle_dev.cli.main import main  # noqa: PLC0415  it changes the process's output

    with pytest.raises(SystemExit):
        main(["firmware", "compress", str(files / "damaged.bin"), str(files / "out.bin"), "--json"])
    example = json.loads(re.search(r"```json\n(.*?)```", REFERENCE, re.DOTALL)[1])
    assert shape(json.loads(capsys.readouterr().out)) == shape(example)
