"""Imports an order of many Device IDs in a process of its own, and prints what that took as JSON.

``python import_at_scale.py COUNT FOLDER fast|slow``: SIMs are active soon, or not at all. The other side is a stub that
answers like Particle's API as cheaply as it can, so that memory and time are those of particle_dev.
"""

import json
import random
import re
import sys
import time
from pathlib import Path

from particle_harness.clock import VirtualClock

from particle_dev.cloud.account import Account
from particle_dev.cloud.api import CloudApi
from particle_dev.cloud.import_plan import plan_import
from particle_dev.cloud.import_run import OrderImport, read_roll
from particle_dev.cloud.import_state import ImportState
from particle_dev.cloud.limits import MemoryLimitStore, RateLimiter
from particle_dev.cloud.order_file import read_order
from particle_dev.cloud.plans import PLANS, Capacity, PlanName
from particle_dev.cloud.product_devices import ProductDevices
from particle_dev.cloud.records import Product
from particle_dev.cloud.sims import Sims
from particle_dev.permissions import Permissions
from particle_dev.protocol.secret import Secret
from particle_dev.transport.base import HttpReply

PER_PAGE = 100
HEADER = "Device ID,Serial Number,ICCID,SKU\r\n"


def peak_mb():
    """Most memory that this program has had; ru_maxrss also counts that of the process which started it."""
    status = Path("/proc/self/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) / 1024


def line_of(n):
    return f"{device_id(n)},P044AF{n:09d},{iccid(n)},BRN404XTRAY50"


def device_id(n):
    return f"e00fce68{n:016x}"


def iccid(n):
    return f"8901{n:015d}"


class Stub:
    """Members are the first ``count`` devices once they were asked for; their SIMs are active at the second look."""

    where = "http://stub"

    def __init__(self, active_after):
        self.active_after = active_after
        self.members = 0
        self.looks = 0
        self.requests = 0

    def send(self, request, timeout_s):
        self.requests += 1
        if request.method == "POST":
            asked = request.files[0].content.decode().split("\n")
            self.members += len(asked)
            body = {"updated": len(asked), "updatedDeviceIds": asked}
        else:
            page = int(request.query["page"])
            numbers = range((page - 1) * PER_PAGE, min(self.members, page * PER_PAGE))
            pages = -(-self.members // PER_PAGE)
            self.looks += page == 1 and request.path[-1] == "sims"
            record = self.sim if request.path[-1] == "sims" else self.device
            body = {request.path[-1]: [record(n) for n in numbers], "meta": {"total_pages": pages}}
        return HttpReply(200, {"content-type": "application/json"}, json.dumps(body).encode())

    def device(self, n):
        return {
            "id": device_id(n),
            "serial_number": f"P044AF{n:09d}",
            "iccid": iccid(n),
            "platform_id": 13,
            "product_id": 1234,
            "online": False,
            "last_heard": None,
            "last_handshake_at": None,
            "functions": None,
            "variables": None,
            "groups": [],
            "mobile_secret": "ABCDEFGHIJKLMNO",
        }

    def sim(self, n):
        return {
            "_id": iccid(n),
            "status": "active" if self.looks > self.active_after else "inactive",
            "last_device_id": device_id(n),
        }

    def close(self):
        pass


def main(count, folder, sims_are):
    clock, stub = VirtualClock(), Stub(1 if sims_are == "fast" else 1 << 30)
    limiter = RateLimiter(MemoryLimitStore(), clock, boot="one")
    api = CloudApi(stub, limiter, token=Secret("a" * 40), clock=clock, rng=random.Random(1))
    before_mb = peak_mb()
    started_s = time.process_time()
    order = read_order([("order.csv", (HEADER + "\r\n".join(map(line_of, range(count)))).encode())])
    read_s = time.process_time() - started_s
    product = Product(1234, "Widget", "widget", 13, device_count=0)
    devices, sims = ProductDevices(api, product.id), Sims(api, product.id)
    account = Account("Acme", True, Capacity(PLANS[PlanName.BASIC], None))
    plan = plan_import(product, account, order, read_roll(devices, product, order, lambda _: None))
    with ImportState(folder / "state.jsonl", product.id) as state:
        report = OrderImport(devices, sims, state, clock).run(plan, Permissions(may_bill=True))
    print(
        json.dumps(
            {
                "verdict": report.verdict,
                "added": report.added,
                "active_sims": report.active_sims,
                "slow_sims": len(report.slow_sims),
                "requests": stub.requests,
                "max_rss_mb": peak_mb(),
                "before_mb": before_mb,
                "read_s": read_s,
                "cpu_s": time.process_time() - started_s,
            }
        )
    )


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]), sys.argv[3])
