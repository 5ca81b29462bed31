"""The plug-in that pyOCD finds through its entry point group ``pyocd.probe``."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

from pyocd.core.plugin import Plugin


class VirtualProbePlugin(Plugin):  # type: ignore[misc]
    """Virtual chips of the running process."""

    name = "particle_virtual"
    description = "Virtual chips of this process"

    def should_load(self) -> bool:
        """Not without the extra ``emulator``: virtual chips need it, and pyOCD would stop for every other probe."""
        return find_spec("unicorn") is not None

    def load(self) -> Any:
        """The probe class."""
        # pyOCD is half imported when it lists its plug-ins.
        from particle_harness.swd.pyocd_probe import VirtualProbe  # noqa: PLC0415

        return VirtualProbe
