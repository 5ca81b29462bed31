"""A page without a station: a context with a run that tests tell of."""

import re

import pytest
from starlette.testclient import TestClient

from particle_dev.station.web.admission import Admission
from particle_dev.station.web.app import make_app
from particle_dev.station.web.audit import AUDIT_NAME, AuditLog
from particle_dev.station.web.context import PageContext
from particle_dev.station.web.live import LiveRun

ADDRESS = "http://127.0.0.1:8088"


class Browser(TestClient):
    """Follows no redirects, and sends form tokens as the page's own JavaScript does."""

    def __init__(self, context, address=ADDRESS):
        super().__init__(make_app(context), base_url=address, follow_redirects=False)

    def token(self, path="/login"):
        return re.search(r'name="form[-_]token" (?:content|value)="(\w+)"', self.get(path).text)[1]

    def act(self, path, **fields):
        return self.post(path, json=fields, headers={"x-form-token": self.token("/")})


@pytest.fixture
def live():
    return LiveRun()


@pytest.fixture
def site(tmp_path):
    return tmp_path / "site"


@pytest.fixture
def audit(site):
    return AuditLog(site / AUDIT_NAME)


@pytest.fixture
def context(live, site, audit):
    return PageContext(live, Admission(audit), site)


@pytest.fixture
def page(context):
    """A browser at the page, on loopback without users."""
    with Browser(context) as browser:
        yield browser
