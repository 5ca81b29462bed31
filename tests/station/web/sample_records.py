"""Records for tests of pages about them."""

from datetime import timedelta

from particle_dev.station.fold import fold
from particle_dev.station.record_rows import Attachment
from particle_dev.station.records import RecordDatabase
from particle_dev.station.station_key import StationKey

UNIT, BAD, OTHER = "e00fce68d3a1b2c4f5061728", "e00fce6871b6a9d03c52e814", "3c001f000947343432313031"
SERIAL, SECRET = "P046ABCDEF12345", "S3CRET0MOBILE42"
LOG = b"serial log of the unit\n" * 9000


def make_records(site, run_script):
    """Two runs: UNIT fails, then passes; BAD is refused, with text that would break a page; a board tells no name."""
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
