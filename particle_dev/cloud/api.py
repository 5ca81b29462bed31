"""Requests to the Particle cloud: who asks, how often, what again, and what an answer means.

A :class:`CloudApi` is shared by all threads of a process. What it can do by name is in the other modules of this
package, each for one kind of thing; they call :meth:`CloudApi.call`.
"""

from __future__ import annotations

import hashlib
import logging
import math
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from particle_dev.cloud.back_off import doubled_s
from particle_dev.cloud.limits import LONGEST_HOLD_S, REQUESTS, STREAM_OPENS, Limit, RateLimiter
from particle_dev.cloud.replies import LOG_IN_COMMAND, JsonObject, error_of, is_refusal, json_of
from particle_dev.errors import (
    CloudAuthError,
    CloudError,
    CloudLimitError,
    CloudServerError,
    LinkDisconnectedError,
    LinkTimeoutError,
    LinkUnreachableError,
    ParticleDevError,
)
from particle_dev.protocol.secret import Secret
from particle_dev.transport.base import Clock, HttpFile, HttpLink, HttpReply, HttpRequest, HttpStream

API_URL = "https://api.particle.io"
REQUEST_TIMEOUT_S = 30.0
"""A function call waits for its device; the cloud gives up after 20 s or so and says it."""
MAX_WAIT_S = 330.0
"""Longest wait for a limit within one request: the window of most limits, and a little."""
UNTOLD_WAIT_S = 60.0
"""Wait after a first 429 or 529 that does not say how long, or says no time at all; doubled with each one that
follows."""
LONGEST_UNTOLD_WAIT_S = 240.0
PER_PAGE = 100
"""Records asked for per page; the default is 25. A server that gives less per page says how many pages it has."""

_log = logging.getLogger(__name__)

PathSegment = str | int | Secret[str]


@dataclass(frozen=True, slots=True)
class BackOff:
    """How failed requests are tried again: after a random part of a delay that doubles each time."""

    first_s: float = 1.0
    longest_s: float = 60.0
    attempts: int = 5

    def delay_s(self, failures: int, rng: random.Random) -> float:
        """Seconds to wait after the ``failures``-th failure in a row (1 or more): full jitter."""
        return rng.uniform(0, self.full_s(failures))

    def full_s(self, failures: int) -> float:
        """The whole delay after the ``failures``-th failure in a row."""
        return doubled_s(self.first_s, self.longest_s, failures - 1)


class CloudApi:
    """The cloud as one user or API user sees it.

    ``token`` None can only log in. ``clock`` and ``rng`` are injected; ``limiter`` is shared by all that ask from here.
    ``max_wait_s`` bounds what one call waits for limits, all its tries together.
    """

    def __init__(
        self,
        link: HttpLink,
        limiter: RateLimiter,
        *,
        token: Secret[str] | None,
        clock: Clock,
        rng: random.Random | None = None,
        back_off: BackOff | None = None,
        max_wait_s: float = MAX_WAIT_S,
    ) -> None:
        if token is not None and not can_be_sent(token):
            raise CloudAuthError(
                "The access token holds characters that no token has.",
                hint="give the 40 characters alone, without quotes or spaces",
            )
        self.link = link
        self.limiter = limiter
        self.token = token
        self.clock = clock
        self.rng = rng or random.Random()  # noqa: S311  spreads retries, protects nothing
        self.back_off = back_off or BackOff()
        self.max_wait_s = max_wait_s

    def waiting(self, max_wait_s: float) -> CloudApi:
        """The same, with calls that wait no longer than that for limits; one that would raises CloudLimitError."""
        return CloudApi(
            self.link,
            self.limiter,
            token=self.token,
            clock=self.clock,
            rng=self.rng,
            back_off=self.back_off,
            max_wait_s=min(self.max_wait_s, max_wait_s),
        )

    @property
    def account(self) -> str:
        """What tells this token from others in the counts of requests; not the token."""
        return hashlib.sha256(self.token.reveal().encode()).hexdigest()[:16] if self.token else ""

    def call(
        self,
        method: str,
        path: Sequence[PathSegment],
        *,
        query: Mapping[str, str | int | bool | None] | None = None,
        json: object = None,
        form: Mapping[str, str | Secret[str]] | None = None,
        files: Sequence[HttpFile] = (),
        limits: Sequence[Limit] = (),
        authorized: bool = True,
        repeatable: bool | None = None,
        timeout_s: float = REQUEST_TIMEOUT_S,
        raw: bool = False,
    ) -> Any:
        """What the cloud answered, as JSON (None when it is empty), or as bytes with ``raw``.

        ``path`` follows the base URL. Keys of ``query`` with None are left out. ``repeatable`` says that doing it twice
        does no harm, which is assumed of GET, HEAD and DELETE; others are sent again only when the cloud cannot
        have carried them out. A DELETE that was done although its answer was lost succeeds when it is sent again.

        Raises a child of CloudError for what the cloud says, TransportError when it cannot be asked, ConfigError when
        the counts of requests cannot be kept.
        """
        request = self._request(method, path, query, json, form, files, authorized)
        if repeatable is None:
            repeatable = method in ("GET", "HEAD", "DELETE")
        reply = self._send(request, (REQUESTS, *limits), repeatable, timeout_s)
        if raw:
            return reply.body
        answer = json_of(reply, request.shown())
        if is_refusal(answer):
            raise error_of(reply, request.shown())
        return answer

    def get_object(self, path: Sequence[PathSegment], **options: Any) -> JsonObject:
        """The object that a GET answers with."""
        return self.object_of("GET", path, **options)

    def object_of(self, method: str, path: Sequence[PathSegment], **options: Any) -> JsonObject:
        """The object that a request answers with; options as of :meth:`call`."""
        return JsonObject(self.call(method, path, **options), self.shown(method, path))

    def pages(
        self, path: Sequence[PathSegment], key: str, query: Mapping[str, str | int | bool | None] | None = None
    ) -> Iterator[JsonObject]:
        """The objects in list ``key`` of all pages, each page asked for when it is needed.

        No page is asked for that is known to be empty: ``meta.total_pages`` tells how many there are; without it, the
        last page is the first one that is empty or shorter than the one before.
        """
        page, previous = 1, 0
        while True:
            answer = self.get_object(path, query={**(query or {}), "page": page, "per_page": PER_PAGE})
            items = answer.objects(key)
            yield from items
            meta = answer.optional_object("meta")
            total = meta.optional_integer("total_pages") if meta else None
            is_last = page >= total if total is not None else len(items) < max(previous, 1)
            if is_last or not items:
                return
            page, previous = page + 1, len(items)

    def open_stream(
        self,
        path: Sequence[PathSegment],
        *,
        timeout_s: float,
        silence_s: float,
        max_wait_s: float = MAX_WAIT_S,
        refusals: int = 0,
    ) -> HttpStream:
        """One attempt at an event stream; counts against the limits, and is not repeated. Errors as of :meth:`call`.

        ``refusals`` is how often the cloud has just refused it for its limit: the wait it does not tell doubles.
        """
        request = replace(
            self._request("GET", path, None, None, None, (), True), headers={"Accept": "text/event-stream"}
        )
        self.limiter.acquire((STREAM_OPENS, REQUESTS), account=self.account, max_wait_s=max_wait_s)
        stream = self.link.open_stream(request, timeout_s, silence_s)
        if stream.status == 200:
            return stream
        try:
            body = b"".join(iter(stream.read, b""))
        except (LinkTimeoutError, LinkDisconnectedError):
            body = b""
        finally:
            stream.close()
        reply = HttpReply(stream.status, stream.headers, body)
        raise self._error(reply, request, (STREAM_OPENS,), refusals)

    def shown(self, method: str, path: Sequence[PathSegment]) -> str:
        """Method and path without secrets, for messages."""
        return HttpRequest(method, tuple(path)).shown()

    def _request(
        self,
        method: str,
        path: Sequence[PathSegment],
        query: Mapping[str, str | int | bool | None] | None,
        json: object,
        form: Mapping[str, str | Secret[str]] | None,
        files: Sequence[HttpFile],
        authorized: bool,
    ) -> HttpRequest:
        if authorized and self.token is None:
            raise CloudAuthError("There is no access token.", hint=f"log in with `{LOG_IN_COMMAND}`, or give a token")
        return HttpRequest(
            method,
            tuple(path),
            query={k: _query_value(v) for k, v in (query or {}).items() if v is not None},
            json=json,
            form=form,
            files=tuple(files),
            token=self.token if authorized else None,
        )

    def _send(self, request: HttpRequest, limits: tuple[Limit, ...], repeatable: bool, timeout_s: float) -> HttpReply:
        failures, waited_s, maybe_done = 0, 0.0, False
        refusal: CloudLimitError | None = None
        while True:
            try:
                waited_s += self.limiter.acquire(limits, account=self.account, max_wait_s=self.max_wait_s - waited_s)
            except CloudLimitError as e:
                # What the cloud has answered to this request says more than that it is not asked again.
                raise refusal or e from None
            error: ParticleDevError
            try:
                reply = self.link.send(request, timeout_s)
                if reply.status < 300:
                    return reply
                if request.method == "DELETE" and maybe_done and reply.status == 404:
                    return replace(reply, status=204, body=b"")
                error = self._error(reply, request, limits, failures)
                again = isinstance(error, CloudLimitError) or (repeatable and isinstance(error, CloudServerError))
            except LinkUnreachableError as e:
                error, again = e, True
            except (LinkTimeoutError, LinkDisconnectedError) as e:
                error, again = e, repeatable
            failures += 1
            # A limit, and a connection that did not come about, are answered before anything is done.
            maybe_done = maybe_done or not isinstance(error, CloudLimitError | LinkUnreachableError)
            refusal = error if isinstance(error, CloudLimitError) else None
            if not again or failures >= self.back_off.attempts:
                raise error
            if not isinstance(error, CloudLimitError):
                self.clock.sleep(self.back_off.delay_s(failures, self.rng))

    def _error(self, reply: HttpReply, request: HttpRequest, limits: Sequence[Limit], failures: int) -> CloudError:
        """The error of an answer. One that names a limit stops everybody who shares it, for as long as it says."""
        error = error_of(reply, request.shown(), now=self.clock.utc_now())
        if isinstance(error, CloudLimitError):
            untold_s = min(LONGEST_UNTOLD_WAIT_S, UNTOLD_WAIT_S * 2.0**failures)
            error.wait_s = min(error.wait_s or untold_s, LONGEST_HOLD_S)
            # The narrowest limit is the one that is used up: that on all requests is a hundred times wider.
            error.limit = limits[-1].name
            held_s = self.limiter.hold(limits[-1], error.wait_s * self.rng.uniform(1.0, 1.25), account=self.account)
            error.hint = f"run it again in {math.ceil(held_s)} s; other programs behind this address count too"
            _log.warning(
                "%s: the cloud answered %d; nobody here asks for %.0f s", request.shown(), reply.status, held_s
            )
        return error


def can_be_sent(token: Secret[str]) -> bool:
    """True for a token that can stand in a header; the error of any other would quote it."""
    value = token.reveal()
    return bool(value) and value.isascii() and value.isprintable() and " " not in value


def _query_value(value: str | int | bool | None) -> str | int:
    if isinstance(value, bool):
        return "true" if value else "false"
    assert value is not None
    return value
