"""Command groups that import a command when it is used."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any

import click


class LazyGroup(click.Group):
    """A group that knows its commands as ``name: "module:object"`` (class attribute ``lazy_commands``).

    Commands of other packages join by the entry point group ``plugin_group``. Installed packages are searched for a
    name that is not among ours, and for the help page, at no other time.
    """

    lazy_commands: Mapping[str, str] = {}
    plugin_group: str | None = None

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Names in the order of the help page."""
        plugins = entry_points(group=self.plugin_group).names if self.plugin_group else ()
        return sorted({*self.lazy_commands, *plugins})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """The command, imported now."""
        if cmd_name in self.lazy_commands:
            module, _, name = self.lazy_commands[cmd_name].partition(":")
            command = getattr(import_module(module), name)
        else:
            plugins = entry_points(group=self.plugin_group, name=cmd_name) if self.plugin_group else ()
            command = next((plugin.load() for plugin in plugins), None)
        assert command is None or isinstance(command, click.Command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click's, with a suggestion for a name that is nearly one of ours."""
        if self.get_command(ctx, args[0]) is None:
            near = difflib.get_close_matches(args[0], self.list_commands(ctx), n=1)
            if near:
                ctx.fail(f"No such command {args[0]!r}. Did you mean {near[0]!r}?")
        return super().resolve_command(ctx, args)


def lazy_group(
    commands: Mapping[str, str], *, plugin_group: str | None = None, **settings: Any
) -> Callable[[Callable[..., Any]], click.Group]:
    """Decorator like ``click.group`` for a :class:`LazyGroup` with these commands."""
    kind = type("LazyGroup", (LazyGroup,), {"lazy_commands": commands, "plugin_group": plugin_group})
    return click.group(cls=kind, **settings)
