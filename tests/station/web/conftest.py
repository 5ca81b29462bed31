"""A page without a station: a context with a run that tests tell of."""

import re
from dataclasses import replace
from types import SimpleNamespace

import pytest
from starlette.testclient import TestClient

from particle_dev.station.arrivals import Arrivals, StartBy
from particle_dev.station.bench import open_bench
from particle_dev.station.operator_lines import OperatorLines
from particle_dev.station.slot_health import HealthFile
from particle_dev.station.web.access import Role
from particle_dev.station.web.admission import Admission
from particle_dev.station.web.app import make_app
from particle_dev.station.web.audit import AUDIT_NAME, AuditLog
from particle_dev.station.web.context import PageContext
from particle_dev.station.web.live import LiveRun
from particle_dev.station.web.users import USERS_NAME, UserFile
from tests.station.web.sample_records import make_records

ADDRESS = "http://127.0.0.1:8088"


class Browser(TestClient):
    """Follows no redirects, and sends form tokens as the page's own JavaScript does."""

    def __init__(self, context, address=ADDRESS):
        super().__init__(make_app(context), base_url=address, follow_redirects=False)

    def token(self, path="/login"):
        return re.search(r'name="form-token" content="(\w+)"', self.get(path, follow_redirects=True).text)[1]

    def act(self, path, **fields):
        return self.post(path, json=fields, headers={"x-form-token": self.token()})

    def log_in(self, token):
        return self.post("/login", data={"token": token, "form_token": self.token()})


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


@pytest.fixture
def clock():
    return SimpleNamespace(now_s=1000.0)


@pytest.fixture
def users(site):
    return UserFile(site / USERS_NAME)


@pytest.fixture
def guarded(live, site, audit, users, clock):
    """A page where people log in; ``tokens`` by role."""
    tokens = {role: users.add(role.word, role) for role in (Role.OPERATOR, Role.ENGINEER, Role.ADMIN)}
    admission = Admission(audit, users, now_s=lambda: clock.now_s)
    context = PageContext(live, admission, site)
    return SimpleNamespace(context=context, tokens=tokens, browser=lambda: Browser(context))


@pytest.fixture
def arrivals():
    """Of two slots, ``1`` and ``left``, of a bench on which nothing is."""
    bench = open_bench("usb", slots=[{"name": "1", "port": "9-1"}, {"name": "left", "port": "9-2"}])
    return Arrivals(SimpleNamespace(usb=SimpleNamespace(enumerate=tuple)), bench.slots, StartBy.OPERATOR)


@pytest.fixture
def lines(arrivals, site):
    return OperatorLines(arrivals, ["1", "left"], StartBy.OPERATOR, HealthFile(site, "line"))


@pytest.fixture(scope="session")
def recorded(tmp_path_factory, run_script):
    """A site with the records of :func:`make_records`."""
    site = tmp_path_factory.mktemp("recorded")
    make_records(site, run_script)
    return site


@pytest.fixture
def records_page(live, audit, recorded):
    """A browser at a page of the station that made :func:`recorded`."""
    context = PageContext(live, Admission(audit), recorded, records=recorded / "records.sqlite")
    with Browser(context) as browser:
        yield browser


@pytest.fixture
def records_of(live, context, tmp_path):
    """A browser at a page whose records are a file that ``make`` makes, or a server."""

    def browser(make, site=None):
        place = make if isinstance(make, str) else tmp_path / "other.sqlite"
        if not isinstance(make, str):
            make(place)
        return Browser(PageContext(live, context.admission, site or tmp_path / "site", records=place))

    return browser


@pytest.fixture
def guarded_records(guarded, recorded):
    """The same where people log in: a browser by role."""

    def browser(role):
        context = replace(guarded.context, records=recorded / "records.sqlite")
        browser = Browser(context)
        browser.log_in(guarded.tokens[role])
        return browser

    return browser
