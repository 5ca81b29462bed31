"""What the world does to a running simulated cloud, behind the link's token: its ledger, faults, time, coverage."""

from __future__ import annotations

import hmac
from typing import Any

from pydantic import Field

from particle_harness.cloud.api_names import ADMIN_PATH, LINK_TOKEN_HEADER
from particle_harness.cloud.clock import iso
from particle_harness.cloud.errors import bad_request, invalid_token
from particle_harness.cloud.routes import Call, Routes
from particle_harness.cloud.shapes import Shape
from particle_harness.cloud.tables import Device

ROUTES = Routes()


class AdminRequest(Shape):
    """``do``: ledger, fault, clear_faults, wait, coverage."""

    do: str
    device_id: str = ""
    fault: dict[str, Any] = Field(default_factory=dict)
    duration_s: float = Field(default=0.0, ge=0.0)
    radio: str = ""
    covered: bool = True


@ROUTES.add("POST", ADMIN_PATH, auth=False, body=AdminRequest, public=False, waits=True)
def admin(call: Call) -> dict[str, Any]:
    """Do it."""
    cloud, body = call.cloud, call.body
    if not hmac.compare_digest(call.headers.get(LINK_TOKEN_HEADER, ""), cloud.link_token):
        raise invalid_token()
    answer: dict[str, Any] = {"ok": True}
    if body.do == "ledger":
        with cloud.session():
            entries = cloud.ledger.entries(body.device_id or None)
            asked = cloud.store.find(Device, **({"id": body.device_id.lower()} if body.device_id else {}))
            ids = {device.id for device in asked}
            answer |= {"devices": len(ids), "metered": len(ids.intersection(cloud.ledger.metered_devices()))}
        fields = ("device_id", "payer", "plan", "event", "cause")
        answer["entries"] = [{"at": iso(e.at), **{name: getattr(e, name) for name in fields}} for e in entries]
    elif body.do == "fault":
        try:
            cloud.faults.add(body.fault)
        except (TypeError, ValueError) as error:
            raise bad_request(str(error)) from error
        answer["faults"] = len(cloud.faults.remaining())
    elif body.do == "clear_faults":
        cloud.faults.clear()
        answer["faults"] = 0
    elif body.do == "wait":
        try:
            cloud.clock.pass_at_once(body.duration_s)
        except ValueError as error:
            raise bad_request(str(error)) from error
        cloud.advance()
        answer["now"] = iso(cloud.now_s())
    elif body.do == "coverage":
        if body.device_id:
            change = cloud.network.no_coverage.discard if body.covered else cloud.network.no_coverage.add
            change(body.device_id.lower())
        if body.radio:
            cloud.network.coverage[body.radio] = body.covered
    else:
        raise bad_request(f"cannot do {body.do!r}")
    return answer
