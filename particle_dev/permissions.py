"""What a caller may do beyond the harmless. The default is nothing. Importable by every layer, like ``errors``."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from particle_dev.errors import PermissionMissingError


class Effect(StrEnum):
    """What an act can do to a device that does not undo itself. Values are the fields of :class:`Permissions`."""

    CONNECT = "may_connect"
    ERASE = "may_erase"
    LOCK = "may_lock"
    BURN = "may_burn_efuses"
    BILL = "may_bill"
    UPDATE = "may_update_devices"
    RELEASE = "may_release"
    DELETE_RECORDS = "may_delete_records"


_CONSEQUENCES = {
    Effect.CONNECT: "can bring the device online, which starts billing",
    Effect.ERASE: "destroys what is stored on the device",
    Effect.LOCK: "closes the device to USB and debuggers; to open it again takes its owner in the cloud, or erases it",
    Effect.BURN: "writes one-time fuses; a mistake cannot be undone by anybody",
    Effect.BILL: "can count against the plan of the account, or activate a SIM, at once",
    Effect.UPDATE: "makes the cloud flash devices over the air, which cannot be called back",
    Effect.RELEASE: "gives its SIM away, which may take days to come back, and takes it from its owner",
    Effect.DELETE_RECORDS: "destroys what proves how units were made",
}
_GRANTS = {
    Effect.CONNECT: "--may-connect",
    Effect.ERASE: "--may-erase",
    Effect.LOCK: "--may-lock",
    Effect.BILL: "--may-bill",
    Effect.UPDATE: "--may-update-devices",
    Effect.RELEASE: "--may-release",
    Effect.DELETE_RECORDS: "--may-delete-records",
}


@dataclass(frozen=True, slots=True)
class Permissions:
    """Permissions for acts that bill, destroy or lock. Passed by the caller, down from command line flags.

    ``may_connect``: the device may end up running firmware that connects to the cloud, which starts billing.
    ``may_erase``: keys, credentials or a whole application may be lost; replacing the modules of a plan is not meant.
    ``may_lock``: device protection may be switched on.
    ``may_burn_efuses``: one-time fuses may be written. Implied by nothing else.
    ``may_bill``: devices and SIMs may be added to an account or a product and SIMs activated. Neither implies nor is
    implied by ``may_connect``: on the free plan a device counts once it is added, on others once it connects.
    ``may_update_devices``: the cloud may be told to flash devices over the air.
    ``may_release``: a device may be taken out of its product and its SIM released, which ends its billing.
    ``may_delete_records``: what stations recorded of units may be deleted.
    """

    may_connect: bool = False
    may_erase: bool = False
    may_lock: bool = False
    may_burn_efuses: bool = False
    may_bill: bool = False
    may_update_devices: bool = False
    may_release: bool = False
    may_delete_records: bool = False

    def require(self, effect: Effect, act: str, consequence: str | None = None) -> None:
        """Raise PermissionMissingError unless the permission for ``effect`` is held; ``act`` names what was asked,
        ``consequence`` what it does where that is not what the effect usually does."""
        if not getattr(self, effect):
            raise PermissionMissingError(
                f"{act} {consequence or _CONSEQUENCES[effect]}",
                permission=effect,
                hint=f"allow it with {_GRANTS.get(effect) or f'Permissions({effect}=True)'}; it was not done",
            )

    def require_connect(self, act: str) -> None:
        """Raise PermissionMissingError unless ``may_connect`` is held."""
        self.require(Effect.CONNECT, act)


NOTHING = Permissions()
