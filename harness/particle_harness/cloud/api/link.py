"""The simulated network for boards of other processes: no part of Particle's API, and behind a token of its own.

The token is in ``SimCloud.link_token``; ``particle-dev sim cloud`` writes it into its settings file.
"""

from __future__ import annotations

import hmac
from typing import Any

from pydantic import Field

from particle_harness.cloud.api_names import LINK_PATH, LINK_TOKEN_HEADER
from particle_harness.cloud.errors import invalid_token
from particle_harness.cloud.network import NoServiceError, hello_from
from particle_harness.cloud.population import make_record
from particle_harness.cloud.routes import Call, Routes
from particle_harness.cloud.shapes import Shape

ROUTES = Routes()
_MOST_WAIT_S = 20.0


class LinkRequest(Shape):
    """``do``, and what it needs."""

    do: str
    device_id: str = ""
    hello: dict[str, Any] = Field(default_factory=dict)
    identity: dict[str, Any] = Field(default_factory=dict)
    device_ids: list[str] = Field(default_factory=list)
    timeout_s: float = 0.0
    command_id: str = ""
    result: Any = None
    failure: str = ""
    name: str = ""
    data: str | None = None


@ROUTES.add("POST", LINK_PATH, auth=False, body=LinkRequest, public=False, waits=True)
def link(call: Call) -> dict[str, Any]:
    """Carry what a board in another process sends, and fetch what is for it."""
    cloud, body = call.cloud, call.body
    if not hmac.compare_digest(call.headers.get(LINK_TOKEN_HEADER, ""), cloud.link_token):
        raise invalid_token()
    try:
        return _do(cloud, body)
    except NoServiceError as error:
        return {"ok": False, "reason": str(error)}


def _do(cloud: Any, body: LinkRequest) -> dict[str, Any]:
    if body.do in ("attach", "connect"):
        hello = hello_from(body.hello)
        if body.do == "attach":
            cloud.sessions.attach(hello)
        else:
            cloud.sessions.connect(hello)
    elif body.do == "goodbye":
        cloud.sessions.goodbye(body.device_id)
    elif body.do == "lost":
        cloud.sessions.lost(body.device_id)
    elif body.do == "publish":
        if not cloud.sessions.publish(body.device_id, body.name, body.data):
            raise NoServiceError("nobody heard it")
    elif body.do == "subscribe":
        cloud.network.subscribe(body.device_id, body.name)
    elif body.do == "wait":
        cloud.network.join_remotely(body.device_ids)
        cloud.network.wait_for_commands(tuple(body.device_ids), min(body.timeout_s, _MOST_WAIT_S))
        commands = {i: cloud.network.take(i) for i in body.device_ids}
        return {
            "ok": True,
            "commands": [
                {"device_id": i, "id": c.id, "do": c.do, "arguments": dict(c.arguments)}
                for i, found in commands.items()
                for c in found
            ],
        }
    elif body.do == "answer":
        cloud.network.answer(body.device_id, body.command_id, body.result, body.failure)
    elif body.do == "join":
        make_record(cloud, body.identity)
        cloud.network.join_remotely([body.device_id])
    return {"ok": True}
