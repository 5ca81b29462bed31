"""How a virtual board comes out of the factory and what is wrong with it."""

from __future__ import annotations

from dataclasses import dataclass, field

from particle_harness.faults import Fault


@dataclass(frozen=True, slots=True)
class BoardSettings:
    """How a board comes out of the factory and what is wrong with it."""

    device_id: str
    online: bool = False
    """Set up by a former owner: goes online when its application runs."""
    device_os: str | None = None
    """Comes with stand-ins of that release instead of what its kind usually comes with."""
    arrives_in_dfu: bool = False
    old_bootloader: bool = False
    factory_image: bool = False
    power_control: bool = True
    """Its slot can switch power."""
    protected: bool = False
    """Its owner has switched device protection on."""
    service_mode: bool = False
    """It is protected, and open for service."""
    application: frozenset[str] = field(default_factory=frozenset)
    """What its application can do (``application.FEATURES``)."""
    semi_automatic_apps: frozenset[str] = field(default_factory=frozenset)
    blank: bool = False
    """Nothing was ever programmed into it."""
    silicon: str = "AAD0"
    """Build code of its nRF52840; ``AAF0`` and later are hardened."""
    faults: tuple[Fault, ...] = ()
    network_scale: float = 1.0
    """Its times on the way to the cloud, as a part of what they are assumed to be."""
    network: tuple[str, ...] = ()
    """What is wrong with its way to the network (``network_trouble.TROUBLES``)."""
