"""The C library's own unit tests, with sanitizers and the compiler that built the package; `make firmware-check` runs
them on other machines too."""

import subprocess
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]


def test_c_unit_tests_pass(tmp_path):
    process = subprocess.run(
        ["make", "-C", REPOSITORY / "firmware", "test", f"BUILD={tmp_path}", "CCS=gcc"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert process.returncode == 0, process.stdout
    assert process.stdout.count(" tests, 0 failed") == 2
