"""A page without a station: a context with a run that tests tell of."""

import re
from dataclasses import replace
from datetime import timedelta
from types import SimpleNamespace

import pytest
from starlette.testclient import TestClient

from particle_dev.station.arrivals import Arrivals, StartBy
from particle_dev.station.bench import open_bench
from particle_dev.station.fold import fold
from particle_dev.station.operator_lines import OperatorLines
from particle_dev.station.record_rows import Attachment
from particle_dev.station.records import RecordDatabase
from particle_dev.station.slot_health import HealthFile
from particle_dev.station.station_key import StationKey
from particle_dev.station.web.access import Role
from particle_dev.station.web.admission import Admission
from particle_dev.station.web.app import make_app
from particle_dev.station.web.audit import AUDIT_NAME, AuditLog
from particle_dev.station.web.context import PageContext
from particle_dev.station.web.live import LiveRun
from particle_dev.station.web.users import USERS_NAME, UserFile

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


UNIT, BAD, OTHER = "e00fce68d3a1b2c4f5061728", "e00fce6871b6a9d03c52e814", "3c001f000947343432313031"
SERIAL, SECRET = "P046ABCDEF12345", "S3CRET0MOBILE42"
LOG = b"serial log of the unit\n" * 9000


@pytest.fixture(scope="session")
def recorded(tmp_path_factory, run_script):
    """A site whose records hold three runs: UNIT fails, then passes; BAD fails, with text that would break a page."""
    site = tmp_path_factory.mktemp("recorded")
    key = StationKey(site, "line one")
    database = RecordDatabase(site / "records.sqlite")
    for number, good in enumerate((False, True)):
        script = run_script(("1", "2", "10"), run_id=f"run-{number}")
        script.began += timedelta(days=number)
        script.unit("1", UNIT)
        evidence = {"serial_number": SERIAL, "measurements": [{"name": "rssi", "value": -71, "lower": -100}]}
        script.step("1", UNIT, "identify", evidence=evidence)
        error = None if good else script.error("the device left the bus")
        script.step("1", UNIT, "flash", duration_s=20, error=error, evidence={"work": {"written_bytes": 800_000}})
        script.finish("1", UNIT, "pass" if good else "fail")
        script.unit("2", BAD, "bsom")
        script.step("2", BAD, "check", error=script.error("<script>alert(1)</script> & \u202e \"'"))
        script.finish("2", BAD, "refused")
        script.unit("10", None if good else OTHER)
        script.step("10", None if good else OTHER, "identify", error=script.error("no answer"))
        script.finish("10", None if good else OTHER, "fail")
        script.run_finished()
        files = [
            Attachment("", "journal.jsonl", "application/jsonl", b"{}\n"),
            Attachment(UNIT, "serial.log", "text/plain", LOG),
            Attachment(UNIT, "page.html", "text/html", b"<script>alert(1)</script>"),
            Attachment(BAD, '..\u202e"; x=<b>.svg', "image/svg+xml", b"<svg onload='alert(1)'/>"),
        ]
        database.write_run(fold(script.build()), key, files)
    database.close()
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
