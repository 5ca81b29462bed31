"""Two processes, one stream: our client against the simulated cloud over HTTP, on the clock of this machine."""

import os
import subprocess
import sys
import tempfile
import threading
import time
from multiprocessing import Pipe
from multiprocessing.connection import Listener
from pathlib import Path

import filelock
import pytest
from particle_harness.clock import RealClock
from particle_harness.cloud import SimCloud

from particle_dev.cloud.event_hub import EventHub
from particle_dev.cloud.event_stream import SseSource
from particle_dev.cloud.events import CloudEvent, StreamGap, StreamScope
from particle_dev.cloud.product_devices import ProductDevices
from particle_dev.cloud.session import open_cloud
from particle_dev.cloud.shared_stream import QUEUE_LENGTH, SharedSource, _Peer
from particle_dev.errors import EventSourceError
from particle_dev.protocol.secret import Secret

HOLDER = """
import sys
from pathlib import Path
from particle_dev.cloud.event_hub import EventHub
from particle_dev.cloud.event_stream import SseSource
from particle_dev.cloud.events import CloudEvent, StreamScope
from particle_dev.cloud.session import open_cloud
from particle_dev.cloud.shared_stream import SharedSource
from particle_dev.protocol.secret import Secret
url, token, product, folder = sys.argv[1:]
api = open_cloud(token=Secret(token), api_url=url, limit_place=Path(folder) / "limits")
source = SharedSource(SseSource(api, StreamScope(int(product)), canary=True), Path(folder), api.clock.utc_now)
hub = EventHub(source, api.clock.utc_now)
events = hub.subscribe()
with hub:
    while not source.proven():
        api.clock.sleep(0.05)
    print("holds", flush=True)
    for item in events:
        if isinstance(item, CloudEvent):
            print(item.name, flush=True)
"""


@pytest.fixture
def site(tmp_path):
    cloud = SimCloud(RealClock())
    owner = cloud.population.add_account("me@example.com", "password", plan="basic")
    product = cloud.population.add_product("Sensors", "boron", owner)
    token = cloud.population.make_token(owner)
    with cloud.serve() as server:
        api = open_cloud(token=Secret(token), api_url=server.url, limit_place=tmp_path / "limits")
        yield cloud, product, server.url, token, api
        api.link.close()
    cloud.close()


def until(condition, what):
    end_s = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end_s, what
        time.sleep(0.02)


def test_two_processes_open_one_stream_and_the_death_of_the_holder_is_a_gap(site, tmp_path):
    _, product, url, token, api = site
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, url, token, str(product.id), str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert holder.stdout.readline() == "holds\n"
        own = SseSource(api, StreamScope(product.id), canary=True)
        source = SharedSource(own, tmp_path, api.clock.utc_now)
        hub = EventHub(source, api.clock.utc_now)
        items, seen = hub.subscribe(), []
        devices = ProductDevices(api, product.id)

        def names():
            seen.extend(items.get_all())
            return [i.name for i in seen if isinstance(i, CloudEvent)]

        with hub:
            until(lambda: source.proven() or source._connection, "the holder was not found")
            devices.publish("before")
            until(lambda: "before" in names(), "what the holder got did not come")
            assert holder.stdout.readline() == "before\n"
            assert own.opens == 0, "one stream for both"
            holder.kill()
            holder.wait()
            until(own.proven, "nobody took over")
            devices.publish("after")
            until(lambda: "after" in names(), "the new stream brings nothing")
            assert own.opens == 1
        gaps = [i for i in seen if isinstance(i, StreamGap)]
        assert [g.until is None for g in gaps] == [True, False], gaps
        assert gaps[0].since == gaps[1].since
        assert "ended" in gaps[0].reason
        assert names() == ["before", "after"]
    finally:
        holder.kill()
        holder.wait()
        holder.stdout.close()


def test_what_was_proven_before_one_came_is_not_proven_to_him(site, tmp_path):
    _, product, _, _, api = site
    first = SharedSource(SseSource(api, StreamScope(product.id), canary=True), tmp_path, api.clock.utc_now)
    with EventHub(first, api.clock.utc_now):
        until(first.proven, "no canary came back")
        came_at = api.clock.utc_now()
        own = SseSource(api, StreamScope(product.id), canary=True)
        second = SharedSource(own, tmp_path, api.clock.utc_now)
        with EventHub(second, api.clock.utc_now):
            until(lambda: second._connection, "the holder was not found")
            assert all(p.since >= came_at for p in second.proven())
        assert own.opens == 0


def test_one_that_does_not_read_is_cut_off_and_keeps_nobody_waiting():
    ours, theirs = Pipe()
    peer, sent = _Peer(ours), 0
    while peer.put(b"x" * 10_000):
        sent += 1
        assert sent < 3 * QUEUE_LENGTH
    assert sent >= QUEUE_LENGTH
    theirs.close()


class NoSource:
    """A source that is not to be opened; its name is all that is asked of it."""

    name = "the events of product 1"

    def run(self, sink):
        raise AssertionError("nothing may be listened to")

    def stop(self):
        pass

    def proven(self):
        return ()


class Told(list):
    """A sink."""

    def events(self, events):
        self.extend(events)

    def gap(self, *gap):
        self.append(gap)


@pytest.fixture
def folder_of_sockets(tmp_path, monkeypatch):
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    return tmp_path / "tmp" / f"particle-dev-{os.getuid()}"


def shared(folder):
    return SharedSource(NoSource(), folder, RealClock().utc_now)


def test_a_folder_of_sockets_that_others_can_write_is_refused(folder_of_sockets, tmp_path):
    folder_of_sockets.mkdir()
    folder_of_sockets.chmod(0o777)
    with pytest.raises(EventSourceError, match="has the mode 0777") as caught:
        shared(tmp_path).run(Told())
    assert str(folder_of_sockets) in caught.value.hint


def test_a_link_in_place_of_the_folder_of_sockets_is_refused(folder_of_sockets, tmp_path):
    (tmp_path / "elsewhere").mkdir(mode=0o700)
    folder_of_sockets.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(EventSourceError, match="is no folder"):
        shared(tmp_path).run(Told())


def test_a_folder_of_sockets_that_another_user_made_is_refused(folder_of_sockets, tmp_path, monkeypatch):
    other = os.getuid() + 1
    folder_of_sockets.with_name(f"particle-dev-{other}").mkdir(mode=0o700)
    monkeypatch.setattr(os, "getuid", lambda: other)
    with pytest.raises(EventSourceError, match=f"belongs to user {other - 1}"):
        shared(tmp_path).run(Told())


@pytest.mark.usefixtures("folder_of_sockets")
def test_a_site_that_is_no_folder_is_told_with_its_path(tmp_path):
    (tmp_path / "file").write_text("")
    hub = EventHub(shared(tmp_path / "file" / "site"), RealClock().utc_now)
    with hub:
        until(lambda: hub.error, "it did not end")
    assert isinstance(hub.error, EventSourceError)
    assert str(tmp_path / "file" / "site") in hub.error.message
    assert "for the site" in hub.error.hint


def test_a_lock_that_cannot_be_taken_is_told(folder_of_sockets, tmp_path):
    source = shared(tmp_path)
    source._lock_path.mkdir()
    with pytest.raises(EventSourceError, match="cannot be shared"):
        source.run(Told())


def test_a_socket_that_cannot_be_made_is_told_and_lets_the_lock_go(folder_of_sockets, tmp_path):
    source = shared(tmp_path)
    Path(source._socket_path_of_user()).mkdir()
    with pytest.raises(EventSourceError, match="open the socket"):
        source.run(Told())
    with filelock.FileLock(source._lock_path, timeout=0):
        pass


def test_what_is_no_message_of_ours_is_a_gap(folder_of_sockets, tmp_path):
    source, told = shared(tmp_path), Told()
    source._socket_path = source._socket_path_of_user()
    with Listener(source._socket_path, "AF_UNIX") as listener:
        follower = threading.Thread(target=source._follow, args=(told,))
        follower.start()
        with listener.accept() as connection:
            connection.send_bytes(b"no message")
            follower.join(10)
    assert not follower.is_alive()
    assert [gap[2] for gap in told] == ["the process that held the stream ended"]
