"""Google Pub/Sub by pull, through Google's client: extra ``particle-dev[pubsub]``. The only module that imports it.

Credentials are those that Google's libraries find (``GOOGLE_APPLICATION_CREDENTIALS``, ``PUBSUB_EMULATOR_HOST``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from particle_dev.errors import LinkAccessError, TransportError


@dataclass(frozen=True, slots=True)
class PulledMessage:
    """One message; it comes again until its ``ack_id`` is acknowledged."""

    ack_id: str
    data: bytes
    attributes: Mapping[str, str]


class MessageQueue(Protocol):
    """A queue that keeps messages until they are acknowledged. Methods raise TransportError."""

    where: str

    def pull(self, max_messages: int, timeout_s: float) -> list[PulledMessage]:
        """Messages that wait, or that come within ``timeout_s``; none is no error."""
        ...

    def acknowledge(self, ack_ids: Sequence[str]) -> None:
        """Let these not come again."""
        ...

    def close(self) -> None:
        """Give the connection back; never raises."""
        ...


class PubSubQueue:
    """The subscription ``projects/PROJECT/subscriptions/NAME``. Raises LinkAccessError without the extra, credentials
    or such a name."""

    def __init__(self, subscription: str) -> None:
        try:
            # Imported late: an extra, and slow to load.
            from google.api_core import exceptions  # noqa: PLC0415
            from google.auth.exceptions import GoogleAuthError  # noqa: PLC0415
            from google.cloud import pubsub_v1  # noqa: PLC0415
        except ImportError as e:
            raise LinkAccessError(
                "Google's Pub/Sub client is not installed.",
                where=subscription,
                hint="pip install 'particle-dev[pubsub]'",
            ) from e
        parts = subscription.split("/")
        if len(parts) != 4 or parts[0] != "projects" or parts[2] != "subscriptions" or not all(parts):
            raise LinkAccessError(
                f"{subscription!r} is no name of a subscription.",
                where=subscription,
                hint="give projects/PROJECT/subscriptions/NAME",
            )
        self.where = subscription
        self._exceptions: Any = exceptions
        try:
            self._client: Any = pubsub_v1.SubscriberClient()
        except GoogleAuthError as e:
            raise LinkAccessError(
                "Google tells no credentials.", where=subscription, hint="set GOOGLE_APPLICATION_CREDENTIALS"
            ) from e

    def pull(self, max_messages: int, timeout_s: float) -> list[PulledMessage]:
        """As :class:`MessageQueue` says."""
        request = {"subscription": self.where, "max_messages": max_messages}
        try:
            answer = self._client.pull(request=request, timeout=timeout_s, retry=None)
        except self._exceptions.DeadlineExceeded:
            return []
        except self._exceptions.GoogleAPIError as e:
            raise self._translated(e) from e
        return [
            PulledMessage(m.ack_id, bytes(m.message.data), dict(m.message.attributes)) for m in answer.received_messages
        ]

    def acknowledge(self, ack_ids: Sequence[str]) -> None:
        """As :class:`MessageQueue` says."""
        try:
            self._client.acknowledge(request={"subscription": self.where, "ack_ids": list(ack_ids)}, timeout=10)
        except self._exceptions.GoogleAPIError as e:
            raise self._translated(e) from e

    def close(self) -> None:
        """Close the channel."""
        self._client.close()

    def _translated(self, error: Exception) -> TransportError:
        e = self._exceptions
        if isinstance(error, e.NotFound | e.PermissionDenied | e.Unauthenticated | e.InvalidArgument):
            return LinkAccessError(
                f"Pub/Sub does not give {self.where}: {type(error).__name__}.",
                where=self.where,
                hint="check the name, and that this account may subscribe",
            )
        return TransportError(f"Pub/Sub failed: {type(error).__name__}.", where=self.where, hint="it is tried again")
