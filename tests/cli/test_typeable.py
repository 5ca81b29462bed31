"""Commands in hints, completed with what the user's own command named."""

import pytest

from particle_dev.cli.typeable import typeable

LEAVE = "leave DFU mode first: `particle-dev mode normal --may-connect`. That can start billing"


@pytest.mark.parametrize(
    ("arguments", "command"),
    [
        ("mode listening", "mode normal --may-connect"),
        ("mode listening --device boron", "mode normal --may-connect --device boron"),
        ("mode reset --device=boron --json --bench b.toml", "mode normal --may-connect --device boron --bench b.toml"),
        ("monitor --device one --device two", "mode normal --may-connect"),
        ("swd id --probe ID --frequency 100000", "mode normal --may-connect"),
        ("mode reset --device", "mode normal --may-connect"),
    ],
)
def test_the_board_is_the_one_that_was_named(arguments, command):
    assert typeable(LEAVE, arguments.split()) == LEAVE.replace("mode normal --may-connect", command)


def test_each_command_gets_what_it_takes():
    hint = "`particle-dev swd recover --may-erase`; else `particle-dev firmware list`, `make guest`, `particle-dev odd`"
    arguments = ["swd", "flash", "--probe", "my probe", "--under-reset", "--frequency", "100000", "--store", "s"]
    assert typeable(hint, arguments) == (
        "`particle-dev swd recover --may-erase --probe 'my probe' --under-reset --frequency 100000`; "
        "else `particle-dev firmware list --store s`, `make guest`, `particle-dev odd`"
    )


def test_what_the_hint_says_itself_stays():
    hint = "`particle-dev id --device ID --json`"
    assert typeable(hint, ["firmware", "check", "--device", "e00fce"]) == hint
