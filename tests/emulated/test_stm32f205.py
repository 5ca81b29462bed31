"""Particle's own bootloaders on the emulated STM32F205, for whoever holds them: `make emulated`."""

import os
from random import Random

import pytest
from particle_harness.boards import EXAMPLE_DEVICE_IDS, hardware
from particle_harness.debug_side import DFU_WORD
from particle_harness.emulator.boards.images import EMULATED
from particle_harness.emulator.boards.new_board import NewBoard, furnish, make_chip, make_memories
from particle_harness.emulator.conversations.acts import GONE
from particle_harness.emulator.conversations.dfu import Conversation
from particle_harness.emulator.differential.comparison import compare
from particle_harness.emulator.differential.dfu import Subject
from particle_harness.emulator.differential.run import run
from particle_harness.emulator.stm32f205.clocks import WATCHDOG_RESET
from particle_harness.emulator.usb.host import UsbHost
from particle_harness.usb.transfer import Setup

pytestmark = [pytest.mark.images, pytest.mark.timeout(3600)]
RELEASES = ("1.5.0", "2.1.0", "2.2.0")
GEN2 = ("photon", "p1", "electron")
FAMILIES = {"nRF52840": "boron", "STM32F205": "photon"}
TRANSFERS = int(os.environ.get("DIFFERENTIAL", "1500"))


@pytest.fixture
def subjects(bootloaders_of):
    def make(platform):
        kind = hardware(platform)
        return [Subject(kind, images, EXAMPLE_DEVICE_IDS[kind.is_gen3]) for images in bootloaders_of(platform)]

    return make


def off(kind, images):
    memories = make_memories(kind)
    furnish(memories, images)
    chip = make_chip(NewBoard(kind, EXAMPLE_DEVICE_IDS[False]), memories)
    chip.attach_vbus()
    return chip


def wait_for_usb(chip, limit_s):
    end = chip.timeline.cycles + chip.timeline.cycles_of(limit_s)
    while not chip.usb.connected and chip.timeline.cycles < end:
        chip.processor.run(chip.timeline.cycles + chip.timeline.cycles_of(0.01))
    # A hub waits so long, too.
    chip.processor.run(chip.timeline.cycles + chip.timeline.cycles_of(0.1))


def product_of(chip):
    host = UsbHost(chip.usb, chip.processor, chip.timeline)
    identity = host.enumerate(5)
    assert host.control(Setup(0xA1, 3, 0, 0, 6))[4] == 2
    return identity.strings[2][2:].decode("utf-16-le")


@pytest.mark.parametrize("platform", GEN2)
def test_without_a_system_part_every_bootloader_comes_up_in_dfu_mode(bootloaders_of, platform):
    for images in bootloaders_of(platform):
        chip = off(hardware(platform), images)
        chip.power_on()
        wait_for_usb(chip, 1.0)
        assert product_of(chip).lower() == f"{platform} dfu mode"
        assert chip.timeline.now_s < 1.0
        # DFU mode blinks yellow.
        seen = set()
        for _ in range(60):
            chip.processor.run(chip.timeline.cycles + chip.timeline.cycles_of(0.01))
            seen.add(tuple(level > 0 for level in chip.lights))
        assert seen == {(True, True, False), (False, False, False)}


@pytest.mark.parametrize("release", RELEASES)
def test_a_request_in_the_backup_register_leads_to_dfu_mode_once(images_of, release):
    kind, images = hardware("photon"), images_of("photon", release)
    chip = off(kind, images)
    chip.power_on()
    chip.rtc.stored[0x54] = DFU_WORD
    chip.pin_reset()
    wait_for_usb(chip, 1.0)
    assert product_of(chip) == "Photon DFU Mode"
    assert chip.rtc.stored[0x54] == 0xFFFF


@pytest.mark.parametrize("release", RELEASES)
def test_the_button_leads_to_dfu_mode(images_of, release):
    kind, images = hardware("photon"), images_of("photon", release)
    chip = off(kind, images)
    chip.hold_mode_button(True)
    chip.power_on()
    chip.processor.run(chip.timeline.cycles_of(4.0))
    assert chip.lights[0] > 0
    assert chip.lights[1] > 0
    chip.hold_mode_button(False)
    wait_for_usb(chip, 1.0)
    assert product_of(chip) == "Photon DFU Mode"
    assert not chip.clocks.reset_flags & WATCHDOG_RESET


def test_leaving_resets_the_board_after_half_a_second(subjects):
    (subject, *_) = subjects("photon")
    modelled, emulated = subject.pair()
    acts = [act for seed in range(40) for act in Conversation(subject.terrain, Random(seed)).acts(5)[-3:]]
    leaving = next(acts[n : n + 3] for n in range(len(acts)) if type(acts[n + 2]).__name__ == "Wait")
    difference, _ = compare(modelled, emulated, leaving)
    assert difference is None
    assert emulated.is_over
    assert emulated.act(leaving[0]) == GONE


@pytest.mark.parametrize("platform", EMULATED)
def test_every_bootloader_and_its_model_agree_on_a_sample(subjects, platform):
    for subject in subjects(platform):
        report = run(subject, min(TRANSFERS, 1500), first_seed=11)
        assert not report.differences, "\n\n".join(str(difference) for difference in report.differences)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_family_and_its_model_agree(subjects, family, capsys):
    report = run(subjects(FAMILIES[family])[-1], TRANSFERS)
    with capsys.disabled():
        print(f"\n{family}: {report.transfers} transfers in {report.sequences} conversations compared")
    assert not report.differences, "\n\n".join(str(difference) for difference in report.differences)
