"""docs/faults.md names tests that are there."""

import re
from pathlib import Path

DOCS = Path(__file__).parents[1] / "docs"
TEXT = (DOCS / "faults.md").read_text(encoding="utf-8")


def test_every_test_that_is_named_is_there():
    links = re.findall(r"\[(test_\w+\.py)\]\(([^)]+)\)", TEXT)
    assert len(links) > 15
    for name, target in links:
        path = (DOCS / target).resolve()
        assert path.name == name
        assert re.search(r"^def test_", path.read_text(encoding="utf-8"), re.M), target


def test_every_test_of_faults_is_named():
    for name in ("test_station_killed_at_random", "test_power_cut_dfu", "test_swd_power_cuts", "test_shift"):
        assert f"[{name}.py]" in TEXT
