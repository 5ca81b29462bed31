"""A page without a station: a context with a run that tests tell of."""

import pytest
from starlette.testclient import TestClient

from particle_dev.station.web.app import make_app
from particle_dev.station.web.context import PageContext
from particle_dev.station.web.live import LiveRun


@pytest.fixture
def live():
    return LiveRun()


@pytest.fixture
def context(live, tmp_path):
    return PageContext(live, tmp_path / "site")


@pytest.fixture
def page(context):
    """A browser at the page, on loopback without users."""
    with TestClient(make_app(context), base_url="http://127.0.0.1:8088") as client:
        yield client
