"""A method of a peripheral that answers for a register names one that its map has: a mistyped one is never called."""

import importlib
import pkgutil
import re

import particle_harness.emulator
import pytest
from particle_harness.emulator.peripherals.registers import Register, RegisterBlock, RegisterMap

NAMED = re.compile("(read|write|task)_(.+)")


def blocks(of=RegisterBlock):
    for block in of.__subclasses__():
        yield block
        yield from blocks(block)


def own_blocks():
    for module in pkgutil.walk_packages(particle_harness.emulator.__path__, "particle_harness.emulator."):
        importlib.import_module(module.name)
    found = [block for block in blocks() if block.__module__.startswith("particle_harness.")]
    return sorted({block for block in found if "registers" in vars(block)}, key=lambda block: block.__qualname__)


def mistyped(block):
    """Methods that no register of its map calls. What a base gives to all kinds, some of which lack the register, is
    the base's."""
    names = {register.name.lower() for register in block.registers.registers}
    known = {f"{verb}_{name}" for name in names for verb in ("read", "write")}
    known |= {f"task_{name.removeprefix('tasks_')}" for name in names if name.startswith("tasks_")}
    return [name for name in vars(block) if NAMED.fullmatch(name) and name not in known]


def test_there_are_blocks():
    assert len(own_blocks()) > 30


@pytest.mark.parametrize("block", own_blocks(), ids=lambda block: block.__qualname__)
def test_every_method_names_a_register(block):
    assert not mistyped(block), f"{block.__module__}: no register of {block.registers.name} calls it"


def test_a_mistyped_method_is_seen():
    class Counter(RegisterBlock):
        registers = RegisterMap("COUNTER", "made up", Register("TASKS_START", 0), Register("CC", 4, count=2))

        def task_start(self): ...
        def read_cc(self, index): ...
        def write_ccc(self, index, value): ...
        def task_strat(self): ...

    assert mistyped(Counter) == ["write_ccc", "task_strat"]
