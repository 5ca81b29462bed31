"""Journals of past runs: what a station of schema 1 wrote must stay readable."""

from pathlib import Path

import pytest

GOLDEN = Path(__file__).parents[1] / "golden" / "station"


@pytest.fixture(params=["pass", "mixed"])
def any_journal(request):
    return GOLDEN / f"{request.param}.jsonl"


@pytest.fixture
def pass_journal():
    return GOLDEN / "pass.jsonl"


@pytest.fixture
def mixed_journal():
    return GOLDEN / "mixed.jsonl"
