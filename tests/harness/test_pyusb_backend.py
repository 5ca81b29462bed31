"""pyusb's own front end on virtual boards."""

import errno

import pytest
import usb.core
import usb.util


@pytest.fixture
def bench(make_bench):
    bench = make_bench(
        {"platform": "boron"},
        {"platform": "photon"},
        {"platform": "tracker", "arrives_in": "dfu"},
        {"connected": False},
    )
    for slot in bench.slots:
        slot.clock.sleep(2)
    return bench


def find(bench, **kwargs):
    return usb.core.find(backend=bench.usb_backend, **kwargs)


def test_all_boards_are_found_at_their_ports(bench):
    devices = list(find(bench, find_all=True))
    assert [(d.idVendor, d.idProduct, d.bus, d.port_numbers) for d in devices] == [
        (0x2B04, 0xC00D, 1, (1,)),
        (0x2B04, 0xC006, 1, (2,)),
        (0x2B04, 0xD01A, 1, (3,)),
    ]
    assert len({d.address for d in devices}) == 3
    assert bench.slots[3].board is None


def test_serial_number_is_the_device_id(bench):
    for device, name in zip(find(bench, find_all=True), "123", strict=True):
        assert device.serial_number == bench.board(name).state.device_id
        assert device.manufacturer == "Particle"


def test_interfaces_of_a_running_board(bench):
    boron = find(bench, idProduct=0xC00D)
    classes = [i.bInterfaceClass for i in boron.get_active_configuration()]
    assert classes == [0x02, 0x0A, 0xFF]
    assert [e.bEndpointAddress for e in boron[0][(1, 0)]] == [0x81, 0x01]
    photon = find(bench, idProduct=0xC006)
    assert [e.bEndpointAddress for e in photon[0][(1, 0)]] == [0x01, 0x81]
    assert usb.util.get_string(photon, photon[0][(2, 0)].iInterface) == "Photon Control Interface"


def test_alternate_settings_of_dfu(bench):
    tracker = find(bench, idProduct=0xD01A)
    names = [usb.util.get_string(tracker, setting.iInterface) for setting in tracker[0]]
    assert [name.split("/")[0].strip() for name in names] == ["@Internal Flash", "@DCD Flash", "@External Flash"]
    functional = bytes(list(tracker[0])[2].extra_descriptors)
    assert functional.hex() == "09210bff0000101a01"
    usb.util.claim_interface(tracker, 0)
    tracker.set_interface_altsetting(0, 1)
    assert bench.board("3").usb_device.alternate == 1


def test_alternate_setting_needs_a_claim(bench):
    handle = bench.usb_backend.open_device(next(d for d in bench.usb_backend.enumerate_devices()))
    with pytest.raises(usb.core.USBError) as error:
        bench.usb_backend.set_interface_altsetting(handle, 2, 0)
    assert error.value.backend_error_code == -5


def test_serial_interfaces_belong_to_the_kernel(bench):
    boron = find(bench, idProduct=0xC00D)
    assert boron.is_kernel_driver_active(0)
    assert not boron.is_kernel_driver_active(2)
    with pytest.raises(usb.core.USBError) as error:
        usb.util.claim_interface(boron, 0)
    assert error.value.errno == errno.EBUSY
    boron.detach_kernel_driver(0)
    usb.util.claim_interface(boron, 0)
    other = find(bench, idProduct=0xC00D)
    with pytest.raises(usb.core.USBError) as error:
        usb.util.claim_interface(other, 0)
    assert error.value.errno == errno.EBUSY
    usb.util.dispose_resources(boron)
    usb.util.claim_interface(other, 0)


def test_handle_of_a_former_enumeration_is_dead(bench):
    boron = find(bench, idProduct=0xC00D)
    boron.ctrl_transfer(0xC0, 1, 0, 20, 64)
    bench.slots[0].power.off()
    bench.slots[0].power.on()
    bench.slots[0].clock.sleep(3)
    with pytest.raises(usb.core.USBError) as error:
        boron.ctrl_transfer(0xC0, 1, 0, 20, 64)
    assert (error.value.errno, error.value.backend_error_code) == (errno.ENODEV, -4)
    assert find(bench, idProduct=0xC00D).address > boron.address


def test_device_that_left_between_finding_and_opening(bench):
    boron = find(bench, idProduct=0xC00D)
    bench.slots[0].power.off()
    with pytest.raises(usb.core.USBError) as error:
        boron.ctrl_transfer(0xC0, 1, 0, 20, 64)
    assert error.value.errno == errno.ENODEV


def test_flash_work_longer_than_the_time_out(bench):
    tracker = find(bench, idProduct=0xD01A)
    tracker.ctrl_transfer(0x21, 1, 0, 0, b"\x41\x00\x00\x03\x00")
    with pytest.raises(usb.core.USBTimeoutError) as error:
        tracker.ctrl_transfer(0xA1, 3, 0, 0, 6, timeout=50)
    assert (error.value.errno, error.value.backend_error_code) == (errno.ETIMEDOUT, -7)
    assert bytes(tracker.ctrl_transfer(0xA1, 3, 0, 0, 6)) == b"\0\0\0\0\5\0"


def test_reset_in_the_middle_of_a_transfer(bench):
    boron = find(bench, idProduct=0xC00D)
    with pytest.raises(usb.core.USBError) as error:
        boron.ctrl_transfer(0x40, 0x50, 0, 40, b"")
    assert (error.value.errno, error.value.backend_error_code) == (errno.EIO, -1)


def test_port_reset_aborts_requests_and_keeps_the_address(bench):
    boron = find(bench, idProduct=0xC00D)
    boron.ctrl_transfer(0xC0, 1, 0, 20, 64)
    boron.reset()
    assert bytes(boron.ctrl_transfer(0xC0, 2, 0, 1, 64)).hex() == "010000000500"


def test_port_reset_sets_dfu_idle(bench):
    tracker = find(bench, idProduct=0xD01A)
    tracker.ctrl_transfer(0x21, 1, 0, 0, b"\x21\0\0\0\0")
    tracker.reset()
    assert bytes(tracker.ctrl_transfer(0xA1, 5, 0, 0, 1)) == b"\2"


def test_serial_data_by_endpoint(bench):
    boron = find(bench, idProduct=0xC00D)
    for interface in (0, 1):
        boron.detach_kernel_driver(interface)
    assert boron.write(0x01, b"c") == 1
    assert bytes(boron.read(0x81, 64)) == b"Device claimed: no\r\n"
    with pytest.raises(usb.core.USBTimeoutError):
        boron.read(0x81, 64, timeout=100)


def test_microsoft_descriptors(bench):
    boron = find(bench, idProduct=0xC00D)
    properties = bytes(boron.ctrl_transfer(0xC1, 0xEE, 2, 5, 255))
    assert len(properties) == int.from_bytes(properties[:4], "little") == 146
    assert "{20b6cfa4-6dc7-468a-a8db-faa7c23ddea5}".encode("utf-16-le") in properties
    with pytest.raises(usb.core.USBError):
        # That is the serial port's interface.
        boron.ctrl_transfer(0xC1, 0xEE, 0, 5, 255)
