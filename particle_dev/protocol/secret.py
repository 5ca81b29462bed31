"""Values that must not reach a log, a trace, a report or a screen: claim codes, passwords, device secrets."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Generic, NoReturn, TypeVar

ValueT = TypeVar("ValueT", str, bytes)
HIDDEN = "***"
_DEVICE_SECRET = re.compile(r"(Device Secret:\s*|Claim code set to:\s*|\"ms\"\s*:\s*\")([^\s\"]+)")


class Secret(Generic[ValueT]):
    """A value whose ``str``, ``repr`` and ``format`` hide it. :meth:`reveal` is the only way to it, so every use can be
    found by that word. Equal to a Secret of the same value only; cannot be pickled or written as JSON."""

    __slots__ = ("_value",)

    def __init__(self, value: ValueT) -> None:
        self._value: ValueT = value

    def reveal(self) -> ValueT:
        """The value itself, for the wire."""
        return self._value

    def __repr__(self) -> str:
        return f"Secret({HIDDEN})"

    def __str__(self) -> str:
        return HIDDEN

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self._value == other._value

    def __hash__(self) -> int:
        return hash((Secret, self._value))

    def __bool__(self) -> bool:
        return bool(self._value)

    def __copy__(self) -> Secret[ValueT]:
        return self

    def __deepcopy__(self, memo: object) -> Secret[ValueT]:
        return self

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Secret does not leave the process")


def redact(text: str, secrets: Iterable[Secret[str]] = ()) -> str:
    """``text`` without the secrets given and without those that the listening-mode console prints (device secret,
    claim code)."""
    for secret in secrets:
        if secret:
            text = text.replace(secret.reveal(), HIDDEN)
    return _DEVICE_SECRET.sub(rf"\g<1>{HIDDEN}", text)
