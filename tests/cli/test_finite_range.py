"""No option of any command takes a number that is none, or that never ends."""

import click
import pytest
from click.testing import CliRunner

from particle_dev.cli.root import root
from particle_dev.finite_range import FiniteRange


def commands(command=root, path=()):
    if not isinstance(command, click.Group):
        yield " ".join(path), command
        return
    context = click.Context(command)
    for name in command.list_commands(context):
        yield from commands(command.get_command(context, name), (*path, name))


def floats():
    for name, command in commands():
        for parameter in command.params:
            if isinstance(parameter.type, (click.FloatRange, click.types.FloatParamType)):
                yield name, parameter


@pytest.mark.parametrize(("name", "parameter"), [pytest.param(*it, id=f"{it[0]} {it[1].name}") for it in floats()])
def test_every_option_with_a_fraction_refuses_what_is_not_finite(name, parameter):
    assert isinstance(parameter.type, FiniteRange)
    for text in ("nan", "-nan", "inf", "1e999"):
        with pytest.raises(click.BadParameter):
            parameter.type.convert(text, parameter, None)


def test_there_are_such_options_of_this_package_and_of_the_harness():
    assert {"mode", "power", "sim trace"} <= {name for name, _ in floats()}


@pytest.mark.parametrize(
    ("arguments", "option"),
    [
        (["sim", "trace", "boron", "--seconds", "nan"], "--seconds"),
        (["mode", "dfu", "--bench", "virtual", "--timeout", "inf"], "--timeout"),
    ],
)
def test_the_refusal_names_the_option_and_the_value(arguments, option):
    result = CliRunner().invoke(root, arguments)
    assert result.exit_code == 2
    assert f"Invalid value for '{option}': '{arguments[-1]}' is not a finite number." in result.stderr
