"""pytest in pytest. What the inner run imports must be there before: it forgets what it imports itself."""

import particle_harness.cloud.app
import particle_harness.hil.cloud
import particle_harness.hil.device_tests
import particle_harness.hil.faults  # noqa: F401
import pytest
import xdist.plugin  # noqa: F401

FOLDER = "leases"


@pytest.fixture
def run(pytester, monkeypatch):
    """Runs pytest on the text of a test module: ``run(text, *arguments, bench=TOML)``."""
    monkeypatch.setenv("PARTICLE_DEV_LEASES", str(pytester.path / FOLDER))

    def call(text, *arguments, bench=None):
        if text is not None:
            pytester.makepyfile(text)
        if bench is not None:
            (pytester.path / "bench.toml").write_text(bench)
            arguments = ("--bench", "bench.toml", *arguments)
        return pytester.runpytest_inprocess("-p", "no:cacheprovider", "-p", "no:randomly", *arguments)

    return call
