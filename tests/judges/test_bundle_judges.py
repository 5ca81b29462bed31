"""The npm package binary-version-reader makes and reads bundles, compressed, combined, protected and patched modules
with us: each takes what the other made, and where a result has one right form, the bytes are equal.

One Node process does everything that it is asked before a test looks at answers.
"""

import json
import os
import random
import struct
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from particle_dev.catalog.modules import ModuleFlag, ModuleFunction
from particle_dev.errors import ModuleFormatError
from particle_dev.flash.bundle_files import pack_zip, read_bundle_file
from particle_dev.protocol.asset import Asset, dependency_tlv, make_asset_module, read_asset_module
from particle_dev.protocol.bundle import bundle_problems, make_bundle
from particle_dev.protocol.compressed import compress, expand
from particle_dev.protocol.module import Dependency, ExtensionType, Product, parse
from particle_dev.protocol.module_build import ModuleParts, Suffix, Tlv, build, product_data, take_apart
from particle_dev.protocol.module_edit import (
    add_extensions,
    combine,
    protect_bootloader,
    remove_extensions,
    set_product,
    split,
)

pytestmark = pytest.mark.firmware

# Reads a list of [function name, arguments] from stdin. {file} stands for a file's bytes; an answer that holds bytes
# names the file they are in. Prints one JSON value a line; {error} when the function throws.
SCRIPT = """
const bvr = require('binary-version-reader');
const fs = require('fs');
const folder = process.argv[1];
let count = 0;
const revive = (value) => Array.isArray(value) ? value.map(revive)
    : value && value.file ? fs.readFileSync(value.file)
    : value && typeof value === 'object' ? Object.fromEntries(Object.entries(value).map(([k, v]) => [k, revive(v)]))
    : value;
const keep = (value) => {
    if (Buffer.isBuffer(value)) {
        const file = `${folder}/answer-${count++}`;
        fs.writeFileSync(file, value);
        return { file };
    }
    return Array.isArray(value) ? value.map(keep)
        : value && typeof value === 'object' ? Object.fromEntries(Object.entries(value).map(([k, v]) => [k, keep(v)]))
        : value;
};
const patch = (data, { prefix, suffix }) => {
    bvr.updateModulePrefix(data, prefix);
    bvr.updateModuleSuffix(data, suffix);
    bvr.updateModuleSha256(data);
    return bvr.updateModuleCrc32(data);
};
(async () => {
    for (const [name, ...args] of JSON.parse(fs.readFileSync(0, 'utf8'))) {
        let answer;
        try {
            answer = await (name === 'patch' ? patch : bvr[name])(...revive(args));
        } catch (error) {
            answer = { error: error.message };
        }
        console.log(JSON.stringify(keep(answer)));
    }
})();
"""

ASSETS = [Asset("logo.png", b"\x89PNG" + bytes(range(256)) * 9), Asset("notes.txt", b"text")]
SYSTEM_5500 = (Dependency(ModuleFunction.SYSTEM_PART, 1, 5500),)
BORON = 13
CERTIFICATE = bytes(range(256)) + bytes(44)


class Judge:
    """Calls functions of binary-version-reader, many in one process."""

    def __init__(self, node_modules: Path, folder: Path) -> None:
        self.environment = {**os.environ, "NODE_PATH": str(node_modules)}
        self.folder = folder
        self.count = 0

    def __call__(self, *calls):
        """Answers in order; bytes go in and come out as bytes."""
        process = subprocess.run(
            ["node", "-e", SCRIPT, str(self.folder)],
            input=json.dumps(self.stored(calls)),
            env=self.environment,
            capture_output=True,
            text=True,
            check=True,
        )
        answers = [self.loaded(json.loads(line)) for line in process.stdout.splitlines()]
        assert len(answers) == len(calls), process.stderr
        return answers

    def stored(self, value):
        if isinstance(value, bytes):
            self.count += 1
            path = self.folder / f"question-{self.count}"
            path.write_bytes(value)
            return {"file": str(path)}
        if isinstance(value, dict):
            return {key: self.stored(item) for key, item in value.items()}
        return [self.stored(item) for item in value] if isinstance(value, list | tuple) else value

    def loaded(self, value):
        if isinstance(value, dict) and list(value) == ["file"]:
            return Path(value["file"]).read_bytes()
        if isinstance(value, dict):
            return {key: self.loaded(item) for key, item in value.items()}
        return [self.loaded(item) for item in value] if isinstance(value, list) else value


@pytest.fixture
def judge(node_modules, tmp_path):
    return Judge(node_modules, tmp_path)


@pytest.fixture(scope="module")
def real(particle_cli_firmware):
    def read(pattern, package="particle-cli-2.12.0"):
        (path,) = particle_cli_firmware.joinpath(package).glob(f"package/assets/**/{pattern}")
        return path.read_bytes()

    return read


@pytest.fixture(scope="module")
def applications(real):
    """Real applications for nRF52840 and RTL872x, changed to ask for a Device OS that keeps assets."""
    files = (real("tinker-1.5.0-b5som.bin"), real("p2/tinker/*.bin", "particle-cli-3.43.1"))
    return [build(replace(take_apart(data), dependencies=SYSTEM_5500)) for data in files]


def asset_objects():
    return [{"name": asset.name, "data": asset.data} for asset in ASSETS]


def test_product_and_prefix_fields_are_patched_alike(judge, applications):
    version = {"moduleVersion": 77, "depModuleVersion": 5501}
    calls = [
        ["patch", data, {"prefix": version, "suffix": {"suffixSize": parse(data).suffix_size_bytes} | numbers}]
        for data, numbers in zip(applications, [{"productId": 1234, "productVersion": 7}, {}], strict=True)
    ]
    theirs = judge(*calls)
    dependencies = (Dependency(ModuleFunction.SYSTEM_PART, 1, 5501),)
    ours = [build(replace(take_apart(data), version=77, dependencies=dependencies)) for data in applications]
    assert theirs == [set_product(ours[0], Product(1234, 7)), ours[1]]


def test_asset_dependencies_are_added_alike_in_suffix_and_prefix(judge, applications):
    theirs = judge(*(["updateModuleAssetDependencies", data, asset_objects()] for data in applications))
    assert [add_extensions(data, [dependency_tlv(a) for a in ASSETS]) for data in applications] == theirs
    flags = [ModuleFlag.PREFIX_EXTENSIONS in parse(data).flags for data in theirs]
    assert flags == [False, True]


def test_removed_extensions_leave_their_reader_a_bare_end_and_us_the_original(judge, applications):
    with_assets = [add_extensions(data, [dependency_tlv(a) for a in ASSETS]) for data in applications]
    types = [int(ExtensionType.ASSET_DEPENDENCY)]
    theirs = judge(*(["removeModuleExtensions", {"module": data, "exts": types}] for data in with_assets))
    assert [remove_extensions(data, types) for data in with_assets] == applications
    for left, original in zip(theirs, applications, strict=True):
        module = parse(left)
        assert module.ok
        assert [e.type for e in module.extensions] == [e.type for e in parse(original).extensions]
        assert len(left) > len(original)


def test_they_lose_what_is_added_to_a_prefix_with_extensions_and_we_do_not(judge, applications):
    first = add_extensions(applications[1], [Tlv(ExtensionType.NAME, b"name")])
    new = {"type": int(ExtensionType.SECURITY_MODE), "securityMode": 1}
    (theirs,) = judge(["addModuleExtensions", {"module": first, "exts": [new]}])
    ours = add_extensions(first, [Tlv(ExtensionType.SECURITY_MODE, b"\1")])
    in_prefix = [[e.type for e in parse(data).extensions][:-2] for data in (theirs, ours)]
    assert in_prefix == [[ExtensionType.NAME], [ExtensionType.NAME, ExtensionType.SECURITY_MODE]]


def test_bootloaders_are_protected_alike(judge, real):
    nrf = build(replace(take_apart(real("boron-bootloader@2.1.0.bin")), version=3001))
    location = Tlv(ExtensionType.DYNAMIC_LOCATION, struct.pack("<III", 0x08004000, 0, 0))
    suffix = Suffix((location, product_data(Product(0xFFFF, 0xFFFF))), b"")
    vendor = bytes.fromhex("999996963fcc66fc").ljust(32)
    rtl = build(ModuleParts(ModuleFunction.BOOTLOADER, 0, 3001, 32, 0x08004000, bytes(999), suffix, head=vendor))
    cases = [(data, certificate) for data in (nrf, rtl) for certificate in (b"", CERTIFICATE)]
    calls = [["createProtectedModule", data, *([certificate] if certificate else [])] for data, certificate in cases]
    theirs = judge(*calls)
    assert [protect_bootloader(*case) for case in cases] == theirs
    assert [parse(data).suffix_size_bytes for data in theirs] == [49, 349, 67, 367]


def test_each_expands_what_the_other_compressed(judge, real, applications):
    originals = [
        *applications,
        real("boron-system-part1@2.1.0.bin"),
        add_extensions(applications[1], [Tlv(0x15, b"x")]),
    ]
    calls = [["compressModule", data] for data in originals]
    calls += [["decompressModule", compress(data)] for data in originals]
    answers = judge(*calls)
    assert [expand(data) for data in answers[: len(originals)]] == originals
    assert answers[len(originals) :] == originals
    for theirs, original in zip(answers, originals, strict=False):
        ours = compress(original)
        assert [parse(x).flags for x in (theirs, ours)] == [parse(original).flags | ModuleFlag.COMPRESSED] * 2
        fields = [take_apart(x) for x in (theirs, ours)]
        assert replace(fields[0], body=b"") == replace(fields[1], body=b"")
        assert fields[0].body[:8] == fields[1].body[:8]


def test_combined_modules(judge, real, applications):
    system_part, softdevice = real("b5som-system-part1@2.1.0.bin"), real("b5som-softdevice@2.1.0.bin")
    application = applications[0]
    answers = judge(
        ["combineModules", [system_part, application]],
        ["splitCombinedModules", combine([system_part, application])],
        ["combineModules", [softdevice, system_part]],
        ["splitCombinedModules", combine([softdevice, system_part])],
    )
    assert answers[0] == combine([system_part, application])
    assert answers[1] == [system_part, application]
    assert split(answers[0]) == (system_part, application)
    # They give a SoftDevice a hash of the whole file; its own covers the payload and need not change.
    for data in (split(answers[2])[0], answers[3][0]):
        assert parse(data).ok
        assert take_apart(data).body == take_apart(softdevice).body
    assert split(combine([softdevice, system_part])) == (softdevice, system_part)
    assert split(answers[2])[1] == answers[3][1] == system_part


def test_asset_modules(judge):
    assets = [*ASSETS, Asset("env", b"\n\x03", 1), Asset("empty", b"")]
    calls = [
        ["createAssetModule", asset.data, asset.name, {"compress": compressed, "type": asset.type}]
        for compressed in (True, False)
        for asset in assets
    ]
    made = judge(*calls)
    assert [read_asset_module(data) for data in made] == assets * 2
    plain = [make_asset_module(asset, compressed=False) for asset in assets]
    assert made[len(assets) :] == plain
    unwrapped = judge(*(["unwrapAssetModule", data] for data in [*map(make_asset_module, assets), *plain]))
    assert unwrapped == [asset.data for asset in assets] * 2


def test_each_reads_the_bundles_of_the_other(judge, applications, tmp_path):
    ours = [pack_zip(make_bundle(data, ASSETS, application_name="app.bin")) for data in applications]
    calls = [["createApplicationAndAssetBundle", {"name": "app.bin", "data": d}, asset_objects()] for d in applications]
    calls += [["unpackApplicationAndAssetBundle", data] for data in ours]
    *theirs, first, second = judge(*calls)
    for data, application in zip(theirs, applications, strict=True):
        path = tmp_path / "theirs.zip"
        path.write_bytes(data)
        bundle = read_bundle_file(path)
        assert bundle.assets == tuple(ASSETS)
        assert bundle_problems(bundle, parse(bundle.application)) == ()
        assert bundle.application == make_bundle(application, ASSETS, application_name="app.bin")["app.bin"]
    for unpacked, application in zip((first, second), applications, strict=True):
        members = make_bundle(application, ASSETS, application_name="app.bin")
        assert unpacked["application"] == {"name": "app.bin", "data": members["app.bin"]}
        assert unpacked["assets"] == asset_objects()


def test_their_parser_finds_our_assets_valid(judge, applications):
    made = make_bundle(applications[0], ASSETS, application_name="app.bin")["app.bin"]
    (listed,) = judge(["listModuleExtensions", {"module": made, "exts": [int(ExtensionType.ASSET_DEPENDENCY)]}])
    assert [(e["name"], e["hash"]) for e in listed] == [(a.name, a.sha256.hex()) for a in ASSETS]
    calls = [["isAssetValid", asset.data, entry] for asset in ASSETS for entry in listed]
    assert judge(*calls) == [True, False, False, True]


def test_limits_of_asset_storage(judge, applications):
    noise = random.Random(1).randbytes(700_000)
    sets = [[noise[:600_000]], [noise[:610_000]], [noise[:500_000], noise[:600_000]], [noise[:600_000]] * 2]
    names = [[{"name": f"{i}", "data": data} for i, data in enumerate(assets)] for assets in sets]
    application = build(replace(take_apart(applications[0]), platform_id=BORON))
    theirs = ["error" in answer for answer in judge(*(["validateAssetLimits", application, s] for s in names))]
    ours = []
    for assets in names:
        try:
            make_bundle(application, [Asset(a["name"], a["data"]) for a in assets], application_name="app.bin")
            ours.append(False)
        except ModuleFormatError as error:
            assert error.code in ("asset_too_large", "assets_too_large")
            ours.append(True)
    assert ours == theirs == [False, True, False, True]
