"""``particle-dev --verbose COMMAND``."""

import json

import pytest
from click.testing import CliRunner

from particle_dev.cli.root import root


@pytest.mark.firmware
def test_transfers_are_told_on_stderr_for_one_command(release_store):
    command = ["id", "--bench", "virtual", "--device", "boron", "--json", "--store", str(release_store.root)]
    told = CliRunner().invoke(root, ["--verbose", *command])
    silent = CliRunner().invoke(root, command)
    assert (told.exit_code, silent.exit_code, silent.stderr) == (0, 0, "")
    assert "MainThread in  bmRequestType 0xc0" in told.stderr
    assert json.loads(told.stdout).keys() == json.loads(silent.stdout).keys()
