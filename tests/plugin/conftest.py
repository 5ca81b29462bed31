"""pytest in pytest. What the inner run imports must be there before: it forgets what it imports itself."""

import tempfile

import particle_harness.cloud.app
import particle_harness.hil.cloud
import particle_harness.hil.device_tests
import particle_harness.hil.faults  # noqa: F401
import pytest
import xdist.plugin  # noqa: F401


@pytest.fixture(autouse=True)
def leases_of_its_own(tmp_path, monkeypatch):
    """Here and in processes that the test starts: leases lie in the folder for temporary files."""
    folder = tmp_path / "tmp"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr(tempfile, "tempdir", str(folder))


@pytest.fixture
def run(pytester):
    """Runs pytest on the text of a test module: ``run(text, *arguments, bench=TOML)``."""

    def call(text, *arguments, bench=None):
        if text is not None:
            pytester.makepyfile(text)
        if bench is not None:
            (pytester.path / "bench.toml").write_text(bench)
            arguments = ("--bench", "bench.toml", *arguments)
        return pytester.runpytest_inprocess("-p", "no:cacheprovider", "-p", "no:randomly", *arguments)

    return call
