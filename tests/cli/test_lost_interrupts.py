"""Ctrl-C that arrives while Python finalizes an object, where what is raised is dropped."""

import signal
import subprocess
import sys

import pytest

from particle_dev.cli.exit_codes import ExitCode

PROGRAM = """
import os, signal, sys, time
from particle_dev.cli import endings, main

class Finalized:
    def __del__(self):
        os.kill(os.getpid(), {number})
        time.sleep(0.05)

def run(arguments):
    with endings.ended_as_by_ctrl_c():
        Finalized()
        time.sleep(20)
    return 0

main._run = run
main.main([])
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_that_came_in_a_finalizer_ends_the_command(number):
    words = [sys.executable, "-c", PROGRAM.format(number=int(number))]
    done = subprocess.run(words, capture_output=True, text=True, timeout=15, check=False)
    assert (done.returncode, done.stderr) == (ExitCode.INTERRUPTED, "interrupted\n")


def test_other_errors_of_finalizers_are_told_as_ever():
    program = PROGRAM.replace("os.kill(os.getpid(), {number})", "raise ValueError('of a finalizer')")
    program = program.replace("time.sleep(20)", "pass")
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=15, check=False)
    assert done.returncode == 0
    assert "ValueError: of a finalizer" in done.stderr
