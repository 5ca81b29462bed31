"""Runs ``particle-dev`` again and again, each time in a fork of a process that has imported everything; a run kills
itself with SIGKILL at a moment of its work: the n-th line of the journal, call to USB, or write of slot health and
records. At the same place on every machine, however busy.

Reads lines of JSON, ``{"moment": n or null, "words": [...]}``, answers ``{"code": exit status or -9, "moments": n}``.
"""

import json
import os
import signal
import sys
import traceback

from particle_harness.bench import VirtualBench  # noqa: F401
from particle_harness.usb.pyusb_backend import VirtualBackend

from particle_dev.cli import station_run  # noqa: F401 - imported once, for all forks
from particle_dev.cli.main import main
from particle_dev.station import journal
from particle_dev.station.record_keeping import RecordKeeper
from particle_dev.station.slot_health import HealthFile

MOMENTS = (
    (journal, "_write_all"),
    (VirtualBackend, "enumerate_devices"),
    (VirtualBackend, "ctrl_transfer"),
    (HealthFile, "_write"),
    (RecordKeeper, "keep"),
)


def run(moment, words, report):
    """In the fork: the command, until that moment."""
    count = 0

    def counted(call, after):
        def made(*arguments, **named):
            nonlocal count
            count += 1
            due = count == moment
            if due and not after:
                os.kill(os.getpid(), signal.SIGKILL)
            result = call(*arguments, **named)
            if due:
                os.kill(os.getpid(), signal.SIGKILL)
            return result

        return made

    for place, name in MOMENTS:
        setattr(place, name, counted(getattr(place, name), after=place is journal))
    nowhere = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(nowhere, descriptor)
    code = 1
    try:
        main(words)
        code = 0
    except SystemExit as end:
        code = int(end.code or 0)
    except BaseException:  # noqa: BLE001 - told to the test, whatever it is
        os.write(report, traceback.format_exc().encode())
    os.write(report, f"\n{count}".encode())
    os._exit(code)


for line in sys.stdin:
    asked = json.loads(line)
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        run(asked["moment"], asked["words"], writer)
    os.close(writer)
    with os.fdopen(reader) as pipe:
        said = pipe.read()
    _, status = os.waitpid(child, 0)
    moments = said.rpartition("\n")[2]
    answer = {"code": os.waitstatus_to_exitcode(status), "moments": int(moments or 0), "said": said}
    print(json.dumps(answer), flush=True)
