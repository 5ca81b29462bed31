"""Endpoints by resource."""

from particle_harness.cloud.api import (
    admin,
    agreements,
    claims,
    device_os,
    devices,
    diagnostics,
    events,
    firmware,
    integrations,
    link,
    product_devices,
    products,
    sims,
    tokens,
    users,
)
from particle_harness.cloud.routes import Route

ALL_ROUTES: tuple[Route, ...] = tuple(
    route
    for module in (
        tokens,
        users,
        products,
        product_devices,
        devices,
        sims,
        firmware,
        events,
        claims,
        diagnostics,
        integrations,
        agreements,
        device_os,
        link,
        admin,
    )
    for route in module.ROUTES.all
)
