"""Device OS from the simulated cloud's server into a firmware store, over real connections. What the server gives are
stand-ins in the real module format; the store checks them as it checks any."""

import random

import pytest
from particle_harness.cloud import SimCloud

from particle_dev.cloud import device_os
from particle_dev.cloud.api import CloudApi
from particle_dev.cloud.limits import MemoryLimitStore, RateLimiter
from particle_dev.errors import CloudNotFoundError, FirmwareStoreError
from particle_dev.flash.device_os_download import download_release
from particle_dev.flash.store import FirmwareStore
from particle_dev.protocol.secret import Secret
from particle_dev.transport.clock import SystemClock
from particle_dev.transport.http import HttpxLink

BORON = 13


@pytest.fixture
def api():
    sim = SimCloud()
    token = sim.population.make_token(sim.population.add_account("me@example.com"))
    with sim.serve() as server:
        link = HttpxLink(server.url)
        clock = SystemClock()
        yield CloudApi(
            link, RateLimiter(MemoryLimitStore(), clock), token=Secret(token), clock=clock, rng=random.Random(1)
        )
        link.close()
    sim.close()


def test_a_release_is_in_the_store_and_again_present(api, tmp_path):
    store = FirmwareStore(tmp_path / "store")
    name = device_os.releases(api, BORON)[0].version
    release, result = download_release(api, store, name, BORON)
    assert result.ok
    assert len(result.added) == len([f for f in release.files if f.module_function != "user_part"]) > 0
    assert {m.platform_id for m in store.modules()} == {BORON}
    assert all(f"device-os-{name}" in m.source for m in store.modules())
    _, again = download_release(api, store, name, BORON)
    assert (len(again.added), len(again.present)) == (0, len(result.added))


def test_a_release_that_is_not(api, tmp_path):
    with pytest.raises(CloudNotFoundError):
        download_release(api, FirmwareStore(tmp_path), "0.0.9", BORON)


def test_a_release_without_files(api, tmp_path, monkeypatch):
    bare = device_os.DeviceOsRelease("9.9.9", None, None, None, ())
    monkeypatch.setattr("particle_dev.flash.device_os_download.release", lambda *_: bare)
    with pytest.raises(FirmwareStoreError, match="no files"):
        download_release(api, FirmwareStore(tmp_path), "9.9.9", BORON)


def test_a_damaged_file_is_refused(api, tmp_path):
    class Damaging(HttpxLink):
        def send(self, request, timeout_s):
            reply = super().send(request, timeout_s)
            body = bytearray(reply.body)
            body[len(body) // 2] ^= 1
            return type(reply)(reply.status, reply.headers, bytes(body))

    store = FirmwareStore(tmp_path / "store")
    _, result = download_release(api, store, device_os.releases(api, BORON)[0].version, BORON, Damaging)
    assert not result.ok
    assert result.refused
    assert store.modules() == ()
