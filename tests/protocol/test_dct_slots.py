"""A slot as the bootloader reads it: platform_flash_modules.h, 20 bytes."""

import struct

from particle_dev.protocol.dct import ModuleCopy, SlotFlag, pending_updates, slot_bytes, slot_offset


def test_slot_in_bytes():
    flags = SlotFlag.VERIFY_CRC | SlotFlag.VERIFY_DESTINATION | SlotFlag.VERIFY_FUNCTION | SlotFlag.DROP_MODULE_INFO
    copy = ModuleCopy(0x24C000, 0x1000, 153036, 8, flags)
    assert copy.encode() == bytes.fromhex("cdab 01 00 00c02400 00100000 cc550200 1e 08 ffff")
    assert slot_offset(1) == 2872
    table = bytearray(b"\xff" * 2952)
    table[2892:2912] = copy.encode()
    assert slot_bytes(bytes(table), 2) == copy.encode()[:18]
    (found,) = pending_updates(bytes(table))
    assert (found.slot, found.source_address, found.destination_address, found.size_bytes) == (
        2,
        *struct.unpack_from("<III", copy.encode(), 4),
    )
