import struct

from particle_dev.protocol.dct import SIZE_NEEDED_BYTES, PendingUpdate, ota_update_pending, pending_updates


def table(slots=(), flag=0xFF):
    data = bytearray(b"\xff" * SIZE_NEEDED_BYTES)
    data[1753] = flag
    for slot, magic in slots:
        struct.pack_into("<HBBIIIBBH", data, 2852 + 20 * slot, magic, 2, 1, 0x289000, 0x30000, 5000, 0, 4, 0)
    return bytes(data)


def test_blank_table_has_nothing_pending():
    assert pending_updates(table()) == ()
    assert not ota_update_pending(table())


def test_armed_slots_are_found_and_the_factory_slot_is_not():
    found = pending_updates(table([(0, 0xABCD), (1, 0xFFFF), (4, 0xABCD)]))
    assert found == (PendingUpdate(4, 0x289000, 0x30000, 5000),)


def test_ota_flag():
    assert ota_update_pending(table(flag=0xA5))


def test_what_a_copy_may_change():
    update = PendingUpdate(1, 0x289000, 0x30000, 0x1000)
    assert [update.writes(address) for address in (0x2FFFF, 0x30000, 0x30FFF, 0x31000)] == [False, True, True, False]
    compressed = PendingUpdate(1, 0x289000, 0x30000, 0x1000, compressed=True)
    assert (compressed.writes(0x2FFFF), compressed.writes(0x90000)) == (False, True)
