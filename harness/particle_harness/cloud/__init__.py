"""A simulated Particle cloud: API, events, metering and a network that devices join. Needs the extra ``sim`` for HTTP.

In a test, without sockets and without waiting::

    cloud = SimCloud(VirtualClock())
    owner = cloud.population.add_account("me@example.com", "password", plan="basic")
    product = cloud.population.add_product("Sensors", "boron", owner)
    token = cloud.population.make_token(owner)                      # or add_api_user(product, "devices:list", …)
    device = cloud.population.make_device("boron")                  # left Particle's factory; sim_class=3, …
    http = httpx.Client(transport=httpx.WSGITransport(cloud.app), base_url="http://cloud")
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

Faults: ``cloud.add_fault({"do": "status", "on": "GET /v1/user", "status": 529})``, all of them in ``cloud/faults.py``.
Over HTTP: ``with cloud.serve() as server: server.url``, or ``particle-dev sim cloud``.
"""

from particle_harness.cloud.network import Hello, NoServiceError
from particle_harness.cloud.sim_cloud import SimCloud
from particle_harness.cloud.sim_device import SimDevice

__all__ = ["Hello", "NoServiceError", "SimCloud", "SimDevice"]
