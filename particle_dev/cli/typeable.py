"""Commands in hints, as they can be typed: with the board, bench, probe and store that the user's own command named."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Sequence

_COMMAND = re.compile(r"`particle-dev ([^`]+)`")
_CARRIED = ("--probe", "--bench", "--device", "--frequency", "--store")
_CARRIED_FLAGS = ("--under-reset",)


def typeable(hint: str, arguments: Sequence[str]) -> str:
    """``hint`` with what ``arguments``, the command line that failed, say of the board, in each command in backticks
    that takes such options and does not have them yet. Layers below know the command, and not how the board was
    named."""
    given = dict(_given(arguments))
    return _COMMAND.sub(lambda found: f"`particle-dev {_completed(found[1], given)}`", hint) if given else hint


def _given(arguments: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Option by option as it is typed again. One that was repeated is left to the user."""
    words, names = list(arguments), [word.partition("=")[0] for word in arguments]
    for number, word in enumerate(words):
        name, equals, value = word.partition("=")
        if name in _CARRIED_FLAGS:
            yield name, name
        elif name in _CARRIED and names.count(name) == 1 and (equals or number + 1 < len(words)):
            yield name, f"{name} {shlex.quote(value if equals else words[number + 1])}"


def _completed(line: str, given: dict[str, str]) -> str:
    known = _options_of(line.split())
    there = {word.partition("=")[0] for word in line.split()}
    return " ".join([line, *(text for name, text in given.items() if name in known - there)])


def _options_of(words: Sequence[str]) -> set[str]:
    """Options of the command that begins the line."""
    import click  # noqa: PLC0415  start-up time counts here

    from particle_dev.cli.root import root  # noqa: PLC0415

    command: click.Command | None = root
    for word in words:
        if not isinstance(command, click.Group):
            break
        command = command.get_command(click.Context(command), word)
    return {option for parameter in command.params for option in parameter.opts} if command else set()
