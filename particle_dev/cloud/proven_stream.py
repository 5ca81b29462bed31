"""An event stream that is proven to carry events before anybody relies on it, for one program or a whole site."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType

from particle_dev.cloud.api import CloudApi
from particle_dev.cloud.event_hub import EventHub
from particle_dev.cloud.event_stream import SseSource
from particle_dev.cloud.events import StreamScope
from particle_dev.cloud.shared_stream import SharedSource
from particle_dev.errors import EventSourceError
from particle_dev.transport.base import Clock

CANARY_TIMEOUT_S = 40.0
"""Until the first event of our own has come back: two of them, and a little."""
POLL_S = 0.1


class ProvenStream:
    """A stream with a canary. Use as a context manager, which waits until the first canary has come back: raises
    EventSourceError when none does in ``CANARY_TIMEOUT_S``, and what ends a stream.

    ``folder`` is that of the site: its programs share one stream of each scope. None: a stream of its own. ``clock``
    is that of the wait, and of the cloud unless it is told. Who wants all events subscribes to ``hub`` before.
    """

    def __init__(
        self, api: CloudApi, scope: StreamScope, folder: Path | None = None, clock: Clock | None = None
    ) -> None:
        own = SseSource(api, scope, canary=True)
        self.source: SseSource | SharedSource = own
        if folder is not None:
            self.source = SharedSource(own, folder, api.clock.utc_now, api.link.where)
        self.hub = EventHub(self.source, api.clock.utc_now)
        self._clock = clock or api.clock

    def __enter__(self) -> ProvenStream:
        self.hub.start()
        try:
            self._wait_for_canary()
        except BaseException:
            self.hub.close()
            raise
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self.hub.close()

    def _wait_for_canary(self) -> None:
        deadline_s = self._clock.monotonic_s() + CANARY_TIMEOUT_S
        while not self.source.proven():
            if self.hub.error is not None:
                raise self.hub.error
            if self._clock.monotonic_s() > deadline_s:
                raise EventSourceError(
                    f"the event stream of {self.source.name} did not bring back an event of our own in "
                    f"{CANARY_TIMEOUT_S:.0f} s",
                    source=self.source.name,
                    hint="the token needs the scopes events:get and events:send; check the network",
                )
            self._clock.sleep(POLL_S)
