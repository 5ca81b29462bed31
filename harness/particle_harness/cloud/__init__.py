"""A simulated Particle cloud: API, events, metering and a network that devices join. Needs the extra ``sim`` for HTTP.

In a test, without sockets and without waiting::

    cloud = SimCloud(VirtualClock())
    owner = cloud.population.add_account("me@example.com", "password", plan="basic")
    product = cloud.population.add_product("Sensors", "boron", owner)
    token = cloud.population.make_token(owner)                      # or add_api_user(product, "devices:list", …)
    device = cloud.population.make_device("boron")                  # left Particle's factory; sim_class=3, …
    http = httpx2.Client(transport=httpx2.WSGITransport(cloud.app), base_url="http://cloud")
    headers = {"Authorization": f"Bearer {token}"}
    http.post(f"/v1/products/{product.id}/devices", json={"id": device.id}, headers=headers)

    online = SimDevice(cloud, device, functions={"led": lambda argument: 1}, variables={"volts": 3.3})
    cloud.clock.sleep(60)                                           # the SIM becomes active
    online.connect()                                                # raises NoServiceError when it cannot
    online.publish("temperature", "21")

    cloud.ledger.metered(device.id)        # has metering ever started? True
    cloud.ledger.has_connected(device.id)  # has it ever been online?
    cloud.ledger.entries(device.id)        # lines with their causes
    cloud.ledger.billable(payer, "2026-01")

Virtual boards: ``open_bench(options={"clock": "virtual", "cloud": cloud}, …)``; a bench file has in
``[bench.options]`` ``cloud = "http://127.0.0.1:PORT/#TOKEN"``, as ``particle-dev sim cloud`` prints it. Boards get
their records by themselves, SIMs are those of the boards; the cloud never is behind the clock of a board.
Faults: ``cloud.add_fault({"do": "status", "on": "GET /v1/user", "status": 529})``, all of them in ``cloud/faults.py``.
Over HTTP: ``with cloud.serve() as server: server.url``, or ``particle-dev sim cloud``.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from particle_harness.cloud.network import Hello, NoServiceError
    from particle_harness.cloud.sim_cloud import SimCloud
    from particle_harness.cloud.sim_device import SimDevice

__all__ = ["Hello", "NoServiceError", "SimCloud", "SimDevice"]
_MODULES = {"Hello": "network", "NoServiceError": "network", "SimCloud": "sim_cloud", "SimDevice": "sim_device"}


def __getattr__(name: str) -> Any:
    # Boards import parts of this package; only who wants a cloud pays for all of it.
    if name not in _MODULES:
        raise AttributeError(name)
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
