"""requirements.lock agrees with pyproject.toml, and holds nothing but pins and hashes. Whether it is complete, and its
hashes are true, pip says in `make lock-check`."""

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
EXTRAS = re.search(r"^LOCK_EXTRAS := (.+)$", MAKEFILE, re.M)[1].split()
HASH = re.compile(r"    --hash=sha256:[0-9a-f]{64}( \\)?")


def locked(text):
    """Requirements of a lock file with the number of their hashes. AssertionError: it holds something else."""
    pins = {}
    for line in text.splitlines():
        if line.startswith(("#", "    #")):
            continue
        if HASH.fullmatch(line):
            pins[next(reversed(pins))] += 1
        else:
            pins[Requirement(line.removesuffix("\\"))] = 0
    return pins


PINS = locked((ROOT / "requirements.lock").read_text(encoding="utf-8"))


def test_every_package_has_one_version_and_a_hash():
    for pin, hashes in PINS.items():
        assert [s.operator for s in pin.specifier] == ["=="], pin
        assert pin.url is None, pin
        assert hashes >= 1, pin


def test_no_place_to_fetch_from_is_named():
    assert "://" not in (ROOT / "requirements.lock").read_text(encoding="utf-8")


def test_everything_that_the_project_asks_for_is_there_in_a_version_that_it_allows():
    asked = [*PROJECT["dependencies"], *(r for e in EXTRAS for r in PROJECT["optional-dependencies"][e])]
    assert len(asked) > 15
    for requirement in map(Requirement, asked):
        name = canonicalize_name(requirement.name)
        versions = [next(iter(p.specifier)).version for p in PINS if canonicalize_name(p.name) == name]
        assert versions, f"{name} is missing: run `make lock`"
        for version in versions:
            assert requirement.specifier.contains(version, prereleases=True), f"{name} {version}: run `make lock`"


@pytest.mark.parametrize("text", ["--index-url x\na==1", "a==1 \\\n    --hash=md5:00\n", "a==1\n-r other.txt"])
def test_a_lock_that_holds_something_else_is_found(text):
    with pytest.raises(InvalidRequirement):
        locked(text)
