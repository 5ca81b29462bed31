"""One program, compiled once, on our core and on QEMU's: exceptions, masks, sleep, faults, stacks, threads, bit-band,
code in RAM, resets, floating point. It must print the same lines."""

import pytest

from .bare_machine import BareMachine, build, run_on_qemu


@pytest.mark.parametrize("cortex", [3, 4])
def test_the_program_prints_here_what_it_prints_on_qemu(cortex, tmp_path):
    elf, image = build("architecture", cortex)
    expected = run_on_qemu(elf, cortex, tmp_path).splitlines()
    assert expected[-1].startswith("boot 00000002")
    assert len(expected) > 100
    assert BareMachine(image, cortex).run().splitlines() == expected
