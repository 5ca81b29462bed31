"""Abort, raw requests, several requests in flight, and firmware update, on scripted devices."""

import struct

import pytest

from particle_dev.catalog.requests import RawRequest
from particle_dev.errors import ControlProtocolError, LinkTimeoutError, RequestRefusedError
from particle_dev.protocol import messages_pb2 as pb
from particle_dev.protocol.control import ControlResult, perform_request, raw_act, raw_text
from particle_dev.protocol.firmware_update import AcceptedUpdate, update_firmware
from particle_dev.protocol.interleave import interleave
from particle_dev.protocol.usb import ControlIn, ControlOut, Stall, Wait

OK, PENDING, BUSY, NOT_FOUND = 0, 2, 3, 5


class Device:
    """Keeps ``slots`` requests; each is done after ``work`` CHECKs. ``results`` gives (result, data) by type."""

    def __init__(self, results, slots=4, work=2):
        self.results, self.slots, self.work = results, slots, work
        self.active, self.last_id, self.elapsed_s = {}, 0, 0.0
        self.seen, self.most_active, self.resets = [], 0, []

    def run(self, machine):
        reply = None
        try:
            while True:
                reply = self.answer(machine.send(reply))
        except StopIteration as done:
            return done.value

    def answer(self, action):
        if isinstance(action, Wait):
            self.elapsed_s += action.duration_s
            return None
        return {1: self.init, 2: self.check, 3: self.take, 4: self.give, 5: self.reset}[action.b_request](action)

    def init(self, action):
        if len(self.active) >= self.slots:
            return struct.pack("<IH", 1, BUSY)
        self.last_id += 1
        request = {"type": action.w_index, "size": action.w_value, "payload": b"", "work": self.work}
        self.active[self.last_id] = request
        self.most_active = max(self.most_active, len(self.active))
        if not action.w_value:
            self.seen.append((action.w_index, b""))
        status = PENDING if action.w_value > 64 else OK
        return struct.pack("<IHH", 3, status, self.last_id)

    def check(self, action):
        request = self.active.get(action.w_index)
        if request is None:
            return struct.pack("<IH", 1, NOT_FOUND)
        if len(request["payload"]) < request["size"]:
            return struct.pack("<IH", 1, OK)
        request["work"] -= 1
        if request["work"] > 0:
            return struct.pack("<IH", 1, PENDING)
        result, data = self.outcome(request)
        request["data"] = data
        if data:
            return struct.pack("<IHIi", 13, OK, len(data), result)
        del self.active[action.w_index]
        return struct.pack("<IHi", 9, OK, result)

    def outcome(self, request):
        found = self.results.get(request["type"], (-120, b""))
        return found(request["payload"]) if callable(found) else found

    def take(self, action):
        assert isinstance(action, ControlOut)
        request = self.active[action.w_index]
        request["payload"] += action.data
        if len(request["payload"]) == request["size"]:
            self.seen.append((request["type"], request["payload"]))

    def give(self, action):
        data = self.active[action.w_index].pop("data")
        del self.active[action.w_index]
        assert len(data) == action.w_length
        return data

    def reset(self, action):
        self.resets.append(action.w_index)
        self.active = {} if not action.w_index else {k: v for k, v in self.active.items() if k != action.w_index}
        return struct.pack("<IH", 1, OK)


def test_abort_cancels_on_the_device():
    device = Device({1: (0, b"")}, work=10**6)
    result = device.run(perform_request(1, aborted=lambda: device.elapsed_s > 1))
    assert result == ControlResult(-140, b"")
    assert device.resets == [1]
    assert not device.active
    assert device.elapsed_s < 2


def test_abort_while_the_device_is_busy_has_nothing_to_cancel():
    device = Device({}, slots=0)
    assert device.run(perform_request(1, aborted=lambda: device.elapsed_s > 1)).result_code == -140
    assert device.resets == []


def test_many_requests_share_the_slots():
    types = list(range(100, 110))
    device = Device({t: (0, bytes([t])) for t in types})
    results = device.run(interleave([perform_request(t) for t in types]))
    assert [r.data for r in results] == [bytes([t]) for t in types]
    assert device.most_active == 4
    alone = Device(device.results)
    for t in types:
        alone.run(perform_request(t))
    assert device.elapsed_s <= alone.elapsed_s * 0.4, "they wait at the same time"


def test_a_device_with_fewer_slots_makes_them_wait():
    types = list(range(100, 106))
    device = Device({t: (0, bytes([t])) for t in types}, slots=2)
    results = device.run(interleave([perform_request(t) for t in types]))
    assert [r.data for r in results] == [bytes([t]) for t in types]
    assert device.most_active == 2


def test_a_refusal_among_many_is_a_result():
    device = Device({1: (0, b"x")})
    first, second = device.run(interleave([perform_request(1), perform_request(2)]))
    assert (first.data, second.result_code) == (b"x", -120)


def test_an_error_ends_all_and_cancels_all():
    device = Device({1: (0, b""), 2: (0, b"")}, work=10**6)
    machines = [perform_request(1, timeout_s=30), perform_request(2, timeout_s=1)]
    with pytest.raises(LinkTimeoutError, match="request 2"):
        device.run(interleave(machines))
    assert device.resets == [2, 0]
    assert not device.active


def test_no_requests():
    assert Device({}).run(interleave([])) == ()


@pytest.mark.parametrize(("reply", "text"), [(b"6.2.0", "6.2.0"), (b"0.8.0\0\0", "0.8.0"), (Stall(), None)])
def test_raw_text(reply, text):
    machine = raw_text(RawRequest.SYSTEM_VERSION)
    assert next(machine) == ControlIn(0xC0, 0x50, 0, 30, 64, 1.0)
    with pytest.raises(StopIteration) as done:
        machine.send(reply)
    assert done.value.value == text


@pytest.mark.parametrize(("needs_data_stage", "data"), [(False, b""), (True, b"\0")])
def test_raw_act_has_a_data_stage_where_the_chip_wants_one(needs_data_stage, data):
    machine = raw_act(RawRequest.CLOUD_DISCONNECT, needs_data_stage)
    assert next(machine) == ControlOut(0x40, 0x50, 0, 302, data, 1.0)
    with pytest.raises(StopIteration) as done:
        machine.send(None)
    assert done.value.value is True


class Updatable(Device):
    """Takes firmware. ``fail`` gives the result of one request, by its number from 0 on."""

    def __init__(self, fail=(), chunk_size=1024):
        super().__init__({250: self.start, 251: self.finish, 252: self.cancel, 253: self.data})
        self.fail, self.count = dict(fail), -1
        self.chunk_size, self.size, self.image, self.events = chunk_size, None, b"", []

    def failing(self, name):
        self.count += 1
        self.events.append(name)
        return self.fail.get(self.count, 0)

    def start(self, payload):
        message = pb.StartFirmwareUpdateRequest.FromString(payload)
        assert message.format == 0
        self.size = message.size
        reply = pb.StartFirmwareUpdateReply(chunk_size=self.chunk_size).SerializeToString()
        result = self.failing("start")
        return (result, b"" if result else reply)

    def data(self, payload):
        self.image += pb.FirmwareUpdateDataRequest.FromString(payload).data
        return (self.failing("data"), b"")

    def finish(self, payload):
        assert len(self.image) == self.size
        validate = pb.FinishFirmwareUpdateRequest.FromString(payload).validate_only
        return (self.failing("validate" if validate else "finish"), b"")

    def cancel(self, payload):
        self.events.append("cancel")
        return (0, b"")


IMAGE = bytes(range(256)) * 10 + b"end"


def test_update_in_chunks_with_progress():
    device, steps = Updatable(), []
    outcome = device.run(update_firmware(IMAGE, progress=lambda *step: steps.append(step)))
    assert outcome == AcceptedUpdate(len(IMAGE), will_reset=True)
    assert device.image == IMAGE
    assert device.events == ["start", "data", "data", "data", "finish"]
    assert steps == [(0, 2563), (1024, 2563), (2048, 2563), (2563, 2563)]
    assert device.seen[0] == (250, bytes.fromhex("088314"))
    assert device.seen[1][1].startswith(bytes.fromhex("0a8008"))
    assert device.elapsed_s < 0.3, "data must not wait like other requests"


def test_validation_alone():
    device = Updatable()
    assert device.run(update_firmware(IMAGE, validate_only=True)) == AcceptedUpdate(len(IMAGE), will_reset=False)
    assert device.seen[-1] == (251, bytes.fromhex("0801"))


@pytest.mark.parametrize(
    ("number", "result", "events", "words"),
    [
        (0, -1351, ["start", "cancel"], "OTA_INVALID_SIZE"),
        (2, -290, ["start", "data", "data", "cancel"], "byte 1024 of 2563"),
        (4, -1340, ["start", "data", "data", "data", "finish", "cancel"], "depends on first"),
    ],
)
def test_refused_update_is_cancelled(number, result, events, words):
    device = Updatable(fail={number: result})
    with pytest.raises(RequestRefusedError, match=words) as error:
        device.run(update_firmware(IMAGE))
    assert error.value.result_code == result
    assert device.events == events


def test_a_refusal_without_a_reason_says_so():
    with pytest.raises(RequestRefusedError, match=r"before Device OS 2\.0\.0 a device does not say why") as error:
        Updatable(fail={4: 1}).run(update_firmware(IMAGE))
    assert "`particle-dev inspect`" in error.value.hint


def test_update_that_hangs_is_cancelled():
    device = Updatable()
    device.results[253] = lambda payload: pytest.fail("never done")
    device.work = 10**6
    with pytest.raises(LinkTimeoutError):
        device.run(update_firmware(IMAGE))
    assert not device.active


def test_chunks_are_no_longer_than_a_request_takes():
    image, device = bytes(range(256)) * 600, Updatable(chunk_size=0xFFFFFFFF)
    device.run(update_firmware(image))
    assert device.image == image
    assert max(len(payload) for _, payload in device.seen) == 65535


def test_no_chunk_size():
    with pytest.raises(ControlProtocolError, match="chunk size"):
        Updatable(chunk_size=0).run(update_firmware(IMAGE))
