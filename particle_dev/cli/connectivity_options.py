"""Options of ``test connectivity`` whose values are more than text."""

from __future__ import annotations

import re
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import click

from particle_dev.cli.cloud_options import read_secret
from particle_dev.connectivity.measurements import MEASURED, Limit
from particle_dev.connectivity.plan import FunctionProbe, VariableProbe
from particle_dev.connectivity.stages import Stage
from particle_dev.protocol.messages_radio import WifiCredentials, WifiSecurity

STAGE_NAMES = [str(stage) for stage in Stage]
SECURITIES = {security.name.lower().replace("_", "-"): security for security in WifiSecurity}
_LIMIT = re.compile(r"(?P<name>\w+)=(?P<low>-?[\d.]+)?\.\.(?P<high>-?[\d.]+)?")


class StageType(click.Choice[str]):
    """A stage by its name."""

    def __init__(self) -> None:
        super().__init__(STAGE_NAMES)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The name of a stage."""
        if value not in STAGE_NAMES:
            near = get_close_matches(str(value), STAGE_NAMES, 1)
            meant = f"did you mean {near[0]}?" if near else "--help lists them"
            self.fail(f"{value!r} is no stage; {meant}", param, ctx)
        return str(value)


class FunctionType(click.ParamType[FunctionProbe]):
    """``NAME``, ``NAME:ARGUMENT``, ``NAME:ARGUMENT=VALUE``."""

    name = "NAME[:ARGUMENT][=VALUE]"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> FunctionProbe:
        """The function, its argument and the value that it must return."""
        if isinstance(value, FunctionProbe):
            return value
        called, is_compared, wanted = str(value).rpartition("=") if "=" in str(value) else (str(value), "", "")
        name, _, argument = called.partition(":")
        if not name:
            self.fail("a function needs a name", param, ctx)
        try:
            return FunctionProbe(name, argument, int(wanted) if is_compared else None)
        except ValueError:
            self.fail(f"{wanted!r} is no whole number, which is what functions return", param, ctx)


class VariableType(click.ParamType[VariableProbe]):
    """``NAME`` or ``NAME=VALUE``."""

    name = "NAME[=VALUE]"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> VariableProbe:
        """The variable and the value that it must have."""
        if isinstance(value, VariableProbe):
            return value
        name, is_compared, wanted = str(value).partition("=")
        if not name:
            self.fail("a variable needs a name", param, ctx)
        return VariableProbe(name, wanted if is_compared else None)


class LimitType(click.ParamType["tuple[str, Limit]"]):
    """``NAME=MIN..MAX``, either bound left out."""

    name = "NAME=MIN..MAX"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, Limit]:
        """A measured value and its limit."""
        if isinstance(value, tuple):
            return value
        found = _LIMIT.fullmatch(str(value))
        if found is None or found["name"] not in MEASURED:
            self.fail(
                f"{value!r} is no limit; measured are {', '.join(MEASURED)}, such as signal_strength=-110..",
                param,
                ctx,
            )
        try:
            low, high = (float(found[side]) if found[side] else None for side in ("low", "high"))
        except ValueError:
            self.fail(f"{value!r} holds a bound that is no number", param, ctx)
        return found["name"], Limit(min=low, max=high)


def wifi_of(ssid: str | None, password_file: Path | None, security: str, hidden: bool) -> WifiCredentials | None:
    """The network that the options name. Raises UsageError, ConfigError."""
    if ssid is None:
        if password_file is not None:
            raise click.UsageError("--wifi-password-file needs --wifi-ssid")
        return None
    password = read_secret(password_file) if password_file else None
    kind = SECURITIES[security] if password is not None else WifiSecurity.NONE
    try:
        return WifiCredentials(ssid, kind, password, hidden=hidden)
    except ValueError as error:
        raise click.UsageError(f"--wifi-ssid: {error}") from error
