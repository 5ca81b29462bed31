"""A cloud that answers what a test says, in process, with a clock of its own."""

import json
import random
from dataclasses import dataclass, field

import httpx2
import pytest
from particle_harness.clock import VirtualClock

from particle_dev.cloud.api import CloudApi
from particle_dev.cloud.limits import MemoryLimitStore, RateLimiter
from particle_dev.protocol.secret import Secret
from particle_dev.transport.http import HttpxLink

TOKEN = "f00dfacecafebabe0123456789abcdef01234567"
DEVICE_ID = "e00fce68aaaaaaaaaaaaaaaa"


@dataclass
class ScriptedCloud:
    """Answers in order, the last one again and again; ``requests`` holds what came."""

    clock: VirtualClock
    answers: list = field(default_factory=list)
    requests: list[httpx2.Request] = field(default_factory=list)

    def __call__(self, request):
        request.read()
        self.requests.append(request)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if callable(answer):
            answer = answer(request)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def api(self, *, token=TOKEN, **options):
        link = HttpxLink("http://127.0.0.1:1", transport=httpx2.MockTransport(self), clock=self.clock)
        limiter = RateLimiter(MemoryLimitStore(), self.clock, boot="one")
        return CloudApi(
            link, limiter, token=Secret(token) if token else None, clock=self.clock, rng=random.Random(1), **options
        )

    def answer(self, body=None, status=200, **headers):
        """Add an answer of JSON."""
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        self.answers.append(
            lambda _request: (
                httpx2.Response(status, headers=headers)
                if body is None
                else httpx2.Response(status, json=body, headers=headers)
            )
        )
        return self

    def sent(self, n=-1):
        """(method, path, JSON body or query) of a request."""
        request = self.requests[n]
        body = json.loads(request.content) if request.content else dict(request.url.params)
        return request.method, request.url.raw_path.decode().partition("?")[0], body


@pytest.fixture
def clock():
    return VirtualClock()


@pytest.fixture
def cloud(clock):
    return ScriptedCloud(clock)
