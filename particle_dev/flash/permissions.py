"""What a caller may do beyond the harmless. The default is nothing."""

from __future__ import annotations

from dataclasses import dataclass

from particle_dev.errors import PermissionMissingError


@dataclass(frozen=True, slots=True)
class Permissions:
    """Permissions for acts that can bill. Passed by the caller, down from the command line flag.

    ``may_connect``: the device may end up running firmware that connects to the cloud, which starts billing.
    """

    may_connect: bool = False

    def require_connect(self, act: str) -> None:
        """Raise PermissionMissingError unless ``may_connect`` is held."""
        if not self.may_connect:
            raise PermissionMissingError(
                f"{act} can bring the device online, which starts billing",
                permission="may_connect",
                hint="leave it out, or allow it with --may-connect",
            )


NOTHING = Permissions()
