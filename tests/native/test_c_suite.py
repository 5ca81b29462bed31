"""The C library's own unit tests, with sanitizers."""

import subprocess
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]


def test_c_unit_tests_pass(tmp_path):
    process = subprocess.run(
        ["make", "-C", REPOSITORY / "firmware", "test", f"BUILD={tmp_path}"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert process.returncode == 0, process.stdout
    assert " tests, 0 failed" in process.stdout
