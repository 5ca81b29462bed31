"""Command groups that import a command when it is used."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

import click


class LazyGroup(click.Group):
    """A group that knows its commands as ``name: "module:object"`` (class attribute ``lazy_commands``)."""

    lazy_commands: Mapping[str, str] = {}

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Names in the order of the help page."""
        return sorted(self.lazy_commands)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """The command, imported now."""
        if cmd_name not in self.lazy_commands:
            return None
        module, _, name = self.lazy_commands[cmd_name].partition(":")
        command = getattr(import_module(module), name)
        assert isinstance(command, click.Command)
        return command


def lazy_group(commands: Mapping[str, str], **settings: Any) -> Callable[[Callable[..., Any]], click.Group]:
    """Decorator like ``click.group`` for a :class:`LazyGroup` with these commands."""
    return click.group(cls=type("LazyGroup", (LazyGroup,), {"lazy_commands": commands}), **settings)
