"""particle-dev and unmodified particle-cli 3.43.1 side by side: one settings file, one cloud, each sees what the other
did."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from particle_harness.cloud import SimDevice


@pytest.fixture
def ours(site, tmp_path):
    """Our command line as a process of its own, in particle-cli's home."""
    environment = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    environment |= {"HOME": str(site.home), "PARTICLE_DEV_LIMITS": str(tmp_path / "limits.json")}

    def run(*words, code=0, given=None):
        program = Path(sys.executable).with_name("particle-dev")
        done = subprocess.run(
            [str(program), "cloud", *words],
            env=environment,
            input=given,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == code, (words, done.stdout, done.stderr)
        return done.stdout

    return run


def test_either_logs_in_for_both(site, ours):
    ours("login", "--username", "me@example.com", "--password-file", "-", "--save", given="password\n")
    assert site.config["username"] == "me@example.com"
    assert "me@example.com" in site.cli("whoami")
    ours("logout")
    assert "not logged in" in site.cli("whoami", code=1)
    assert site.config["apiUrl"] == site.server.url
    site.cli("login", "--username", "me@example.com", "--password", "password")
    assert json.loads(ours("whoami", "--json"))["username"] == "me@example.com"
    before = site.config
    ours("whoami")
    assert site.config == before


def test_each_sees_what_the_other_did(site, ours):
    site.log_in()
    product = str(site.product.id)
    first, second = (site.cloud.population.make_device("argon").id for _ in range(2))
    ours("devices", "add", first, "--product", product, "--may-bill")
    site.cli("product", "device", "add", product, second)
    theirs = json.loads(site.cli("product", "device", "list", product, "--json"))["data"]
    mine = [json.loads(line) for line in ours("devices", "list", "--product", product, "--json").splitlines()]
    assert {d["id"] for d in mine} == {d["id"] for d in theirs} == {first, second}
    for_us = {d["id"]: d for d in mine}
    for device in theirs:
        assert for_us[device["id"]]["mobile_secret"] == "***" != device["mobile_secret"]
        for key in set(device) & set(for_us[device["id"]]) - {"mobile_secret"}:
            assert for_us[device["id"]][key] == device[key], key
    ours("devices", "remove", first, "--product", product, "--yes")
    assert first not in site.cli("product", "device", "list", product)


def test_a_function_and_a_variable_have_the_same_value(site, ours):
    site.log_in()
    product = str(site.product.id)
    record = site.cloud.population.make_device("argon")
    ours("devices", "add", record.id, "--product", product, "--may-bill")
    SimDevice(site.cloud, record, functions={"led": len}, variables={"volts": 3.25}).connect()
    assert ours("call", record.id, "led", "abc", "--product", product).strip() == "3"
    assert "3" in site.cli("call", record.id, "led", "abc", "--product", product)
    assert ours("get", record.id, "volts", "--product", product).strip() == "3.25"
    assert "3.25" in site.cli("get", record.id, "volts", "--product", product)
