"""udev itself reads the shipped rules and says what it would do with a board."""

import re

from particle_dev.doctor.udev_rules import RULES_NAME, rules_text

# A name space of its own: the rules must be where udev looks, and this machine must not keep them.
TEST = """
exec 2>&1
unshare --mount sh -c 'mount --bind "$1" /etc/udev/rules.d && udevadm test --action=add "$2"' sh {rules} {path}
"""


def udev_says(bench, tmp_path, path):
    (tmp_path / RULES_NAME).write_text(rules_text())
    return bench.shell(TEST.format(rules=tmp_path, path=path))


def test_a_board_is_for_the_group_and_awake_and_nothing_for_modem_manager(foreign_bench, tmp_path):
    bench = foreign_bench("boron")
    path = bench.shell("dirname $(grep -l 2b04 /sys/bus/usb/devices/*/idVendor | head -1)").strip()
    text = udev_says(bench, tmp_path, path)
    assert f"Reading rules file: /etc/udev/rules.d/{RULES_NAME}" in text
    assert not re.search(rf"{RULES_NAME}.*(Invalid|Unknown|unexpected|ignoring)", text)
    assert re.search(rf"{RULES_NAME}:\d+ MODE 0660", text)
    assert re.search(rf"{RULES_NAME}:\d+ GROUP", text)
    assert "ID_MM_DEVICE_IGNORE=1" in text
    assert re.search(r"TAGS=.*uaccess", text)


def test_its_serial_port_is_kept_from_modem_manager(foreign_bench, tmp_path):
    bench = foreign_bench("photon")
    path = bench.shell("udevadm info --query=path --name=/dev/ttyACM0").strip()
    text = udev_says(bench, tmp_path, f"/sys{path}")
    assert "ID_MM_PORT_IGNORE=1" in text
    assert re.search(rf"{RULES_NAME}:\d+ GROUP", text)
