import pytest
from particle_harness.esp32.image import boot_choice, partition_table

from particle_dev.errors import FormatError
from particle_dev.protocol.esp_partitions import application_slots, boot_choice_partition, booted_slot, read_table

BLANK = b"\xff" * 0x1000


def test_the_table_of_an_argon():
    table = read_table(partition_table())
    assert [s.label for s in application_slots(table)] == ["ota_0", "ota_1"]
    assert boot_choice_partition(table)[3:] == (0x10000, 0x2000)


@pytest.mark.parametrize(
    ("choice", "label"),
    [
        (BLANK + BLANK, "ota_0"),
        (boot_choice(1) + BLANK, "ota_0"),
        (boot_choice(2) + BLANK, "ota_1"),
        (boot_choice(3) + boot_choice(2), "ota_0"),
        (boot_choice(3) + boot_choice(4), "ota_1"),
        (boot_choice(3) + bytes(0x1000), "ota_0"),
        (b"\x04" + boot_choice(3)[1:] + BLANK, "ota_0"),
        (b"", "ota_0"),
    ],
)
def test_which_slot_starts(choice, label):
    assert booted_slot(read_table(partition_table()), choice).label == label


def test_no_slots_no_choice():
    table = read_table(partition_table([("nvs", 1, 2, 0x9000, 0x1000)]))
    assert (booted_slot(table, b""), boot_choice_partition(table)) == (None, None)


@pytest.mark.parametrize("data", [b"", BLANK, bytes(0xC00), b"\xaa\x50" + b"\0" * 10])
def test_what_is_no_table(data):
    with pytest.raises(FormatError) as error:
        read_table(data)
    assert error.value.code == "esp_table"


def test_every_bit_of_a_row_is_under_its_md5():
    table = partition_table()
    for at in range(0, 6 * 32):
        damaged = bytearray(table)
        damaged[at] ^= 0x10
        if at % 32 in (0, 1) and at >= 32:
            continue  # ends the table there
        with pytest.raises(FormatError):
            read_table(bytes(damaged))
