"""What differential tests of a running Device OS share: the firmware's outcomes, which have to be its model's."""

import json
import time

from particle_harness.emulator.conversations.acts import Enumerate
from particle_harness.emulator.conversations.system import DIAGNOSTICS, whole
from particle_harness.emulator.differential.run import run
from particle_harness.usb.control_service import Service


def agrees(subject, transfers, first_seed=1):
    """Compare at least so many transfers; what was compared, in words."""
    started_s = time.process_time()
    report = run(subject, transfers, first_seed=first_seed)
    assert not report.differences, "\n\n".join(str(difference) for difference in report.differences)
    used_s = time.process_time() - started_s
    return f"{report.transfers} transfers in {report.sequences} conversations compared, {used_s:.0f} s"


def on_both(subject, *acts):
    """Carry acts out on both sides of a new pair; the outcomes of the firmware."""
    modelled, emulated = subject.pair()
    outcomes = []
    for act in (Enumerate(), *acts):
        outcomes.append(emulated.act(act))
        assert modelled.act(act) == outcomes[-1], str(act)
    return outcomes[1:]


def without_reply(kind):
    """A request whose reply nobody fetches."""
    return [step for step in whole(1, kind) if step.service is not Service.RECV]


def names_of_counters(subject):
    """Those of the diagnostics: the model's, and the firmware's."""
    told = []
    for side in subject.pair():
        reply = [side.act(act) for act in (Enumerate(), *whole(1, DIAGNOSTICS))][-1]
        told.append(json.loads(bytes.fromhex(reply.removeprefix("in: "))).keys())
    return told
