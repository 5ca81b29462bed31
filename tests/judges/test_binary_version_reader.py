"""The npm package binary-version-reader 3.1.3 reads the same files; every field that both know must agree."""

import json
import os
import subprocess

import pytest

from particle_dev.protocol.module import describe, parse

pytestmark = pytest.mark.firmware

# Reads file names from stdin, prints one JSON object a line.
SCRIPT = """
const { HalModuleParser } = require('binary-version-reader');
const files = require('fs').readFileSync(0, 'utf8').trim().split('\\n');
(async () => {
    for (const file of files) {
        const { crc, prefixInfo, suffixInfo } = await new HalModuleParser().parseFile(file);
        console.log(JSON.stringify({ crc, prefixInfo, suffixInfo }));
    }
})();
"""


@pytest.fixture(scope="module")
def judged(particle_cli_firmware, node_modules):
    """Path of every intact module, with what the judge says about it."""
    files = sorted(particle_cli_firmware.glob("particle-cli-*/**/*.bin"))
    modules = [path for path in files if not describe(path.read_bytes(), file=path.name)["problems"]]
    assert len(modules) == 62
    process = subprocess.run(
        ["node", "-e", SCRIPT],
        input="\n".join(map(str, modules)),
        env={**os.environ, "NODE_PATH": str(node_modules)},
        capture_output=True,
        text=True,
        check=True,
    )
    return dict(zip(modules, map(json.loads, process.stdout.splitlines()), strict=True))


def test_prefix_fields_agree(judged):
    for path, verdict in judged.items():
        module, prefix = parse(path.read_bytes()), verdict["prefixInfo"]
        dependencies = [
            (prefix[f"{dep}ModuleFunction"], prefix[f"{dep}ModuleIndex"], prefix[f"{dep}ModuleVersion"])
            for dep in ("dep", "dep2")
        ]
        assert module.dependencies == tuple(d for d in dependencies if d[0]), path
        assert {
            "moduleStartAddy": f"{module.start_address:x}",
            "moduleEndAddy": f"{module.end_address:x}",
            "reserved": module.mcu_target,
            "moduleFlags": module.flags,
            "moduleVersion": module.version,
            "platformID": module.platform_id,
            "moduleFunction": module.function,
            "moduleIndex": module.index,
            "prefixOffset": module.prefix_offset,
        } == {key: value for key, value in prefix.items() if not key.startswith("dep") and key != "prefixSize"}, path


def test_checksums_agree(judged):
    for path, verdict in judged.items():
        module = parse(path.read_bytes())
        assert verdict["crc"] == {
            "ok": module.crc32.ok,
            "storedCrc": f"{module.crc32.stored:08x}",
            "actualCrc": f"{module.crc32.computed:08x}",
        }, path
        assert verdict["suffixInfo"]["fwUniqueId"] == module.sha256.stored.hex(), path


def test_suffix_fields_agree(judged):
    products = 0
    for path, verdict in judged.items():
        module, suffix = parse(path.read_bytes()), verdict["suffixInfo"]
        assert suffix["suffixSize"] == module.suffix_size_bytes, path
        if module.product:
            products += 1
            assert (suffix["productId"], suffix["productVersion"]) == module.product, path
        assert [(e["type"], e["offset"], e["length"]) for e in suffix.get("extensions", [])] == [
            (e.type, e.offset, e.length_bytes) for e in module.extensions
        ], path
    assert products > 20
