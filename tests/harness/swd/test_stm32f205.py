KEYR, SR, CR, OPTKEYR, OPTCR = 0x40023C04, 0x40023C0C, 0x40023C10, 0x40023C08, 0x40023C14
PG_X32, SER, STRT, LOCK = 0x201, 0x2, 0x10000, 0x80000000
WRPERR, PGPERR, PGSERR = 0x10, 0x40, 0x80


def unlock(link):
    link.write(KEYR, 0x45670123)
    link.write(KEYR, 0xCDEF89AB)


def test_identity(stm32f205, probe):
    link = probe(stm32f205)
    assert link.read(0x1FFF7A10).to_bytes(4, "little").hex() == "3a003700"
    assert link.read(0x1FFF7A20) >> 16 == 1024
    assert link.read(0xE0042000) & 0xFFF == 0x411


def test_a_store_needs_the_keys_and_the_programming_bit(stm32f205, probe):
    link = probe(stm32f205)
    link.write(0x08020000, 0)
    assert link.read(0x08020000) == 0xFFFFFFFF
    assert link.read(SR) & PGSERR
    link.write(SR, PGSERR)
    unlock(link)
    link.write(CR, PG_X32)
    link.write(0x08020000, 0x12345678)
    assert link.read(0x08020000) == 0x12345678
    assert link.read(0x00020000) == 0x12345678
    assert not link.read(SR) & (WRPERR | PGPERR | PGSERR)


def test_a_wrong_key_locks_until_the_reset(stm32f205, probe):
    link = probe(stm32f205)
    link.write(KEYR, 1)
    unlock(link)
    assert link.read(CR) & LOCK
    stm32f205.pin_reset()
    unlock(link)
    assert not link.read(CR) & LOCK


def test_the_width_of_a_store_must_match(stm32f205, probe):
    link = probe(stm32f205)
    unlock(link)
    link.write(CR, 0x101)
    link.write(0x08020000, 0)
    assert link.read(SR) & PGPERR
    assert link.read(0x08020000) == 0xFFFFFFFF


def test_sector_erase(stm32f205, probe):
    stm32f205.flash.load(0x0801FFFC, bytes(8))
    link = probe(stm32f205)
    unlock(link)
    link.write(CR, SER | 5 << 3 | STRT)
    assert link.read(0x0801FFFC) == 0
    assert link.read(0x08020000) == 0xFFFFFFFF


def test_protected_sectors_are_neither_written_nor_erased(stm32f205, probe):
    stm32f205.flash.load(0x08000000, bytes(4))
    link = probe(stm32f205)
    link.write(OPTKEYR, 0x08192A3B)
    link.write(OPTKEYR, 0x4C5D6E7F)
    link.write(OPTCR, 0x0FFEAAEC)
    unlock(link)
    link.write(CR, SER | STRT)
    assert link.read(SR) & WRPERR
    assert link.read(0x08000000) == 0


def test_bit_band_alias_of_the_flash_registers(stm32f205, probe):
    link = probe(stm32f205)
    unlock(link)
    link.write(0x42000000 + 0x23C10 * 32, 1)
    assert link.read(CR) & 1
