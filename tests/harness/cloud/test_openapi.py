"""schemathesis holds the simulated cloud to its own OpenAPI description, endpoint by endpoint."""

import httpx2
import pytest
from hypothesis import HealthCheck, given, settings, strategies
from particle_harness.boards import hardware
from particle_harness.clock import VirtualClock
from particle_harness.cloud import SimCloud, SimDevice
from particle_harness.cloud.api import ALL_ROUTES
from particle_harness.factory import app_stand_in
from schemathesis import openapi
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from particle_dev.protocol.module import Product
from particle_dev.protocol.module_edit import set_product

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
EXAMPLES = 3


class World:
    """A cloud that has one of everything."""

    def __init__(self):
        self.cloud = SimCloud(VirtualClock(), limits=False, answer_timeout_s=0.01)
        people = self.cloud.population
        self.owner = people.add_account("me@example.com", "password", plan="basic")
        self.org = people.add_org("factory", self.owner)
        self.product = people.add_product("Sensors", "boron", self.owner, org=self.org)
        self.token = people.make_token(self.owner)
        self.client = httpx2.Client(
            transport=httpx2.WSGITransport(self.cloud.app),
            base_url="http://cloud",
            headers={"Authorization": f"Bearer {self.token}"},
        )
        self.member, self.own = (self.device() for _ in range(2))
        self.post(f"/v1/products/{self.product.id}/devices", {"id": self.member.id})
        self.client.put(f"/v1/sims/{self.own.iccid}", json={"action": "activate"})
        self.cloud.clock.sleep(60)
        self.cloud.advance()
        for device in (self.member, self.own):
            online = SimDevice(self.cloud, device, functions={"led": lambda _: 1}, variables={"volts": 3.3})
            online.connect()
            online.publish("spark/device/diagnostics/update", "{}")
        self.post("/v1/devices", {"id": self.own.id})
        self.free_iccid = self.device().iccid
        self.fill()
        # Streams would never end.
        self.cloud.add_fault({"do": "close_stream", "seconds": 0.001, "count": 0})

    def device(self):
        return self.cloud.population.make_device("boron")

    def post(self, path, body):
        answer = self.client.post(path, json=body)
        assert answer.is_success, answer.text
        return answer.json()

    def fill(self):
        product = f"/v1/products/{self.product.id}"
        self.hooks = {}
        for place in ("/v1", product, "/v1/orgs/factory"):
            body = {"event": "e", "url": "http://127.0.0.1:9/"}
            self.hooks[place] = self.post(f"{place}/integrations", body)["id"]
        self.clients = {place: self.post(f"{place}/clients", {"name": "app"})["client"] for place in ("/v1", product)}
        customer = {"email": "you@example.com", "client_id": self.clients[product]["id"]}
        customer["client_secret"] = self.clients[product]["secret"]
        self.post(f"{product}/customers", customer)
        bot = {"friendly_name": "bot", "scopes": ["devices:list"]}
        self.users = {
            place: self.post(f"{place}/team", bot)["created"]["username"] for place in (product, "/v1/orgs/factory")
        }
        self.post(f"{product}/groups", {"name": "beta"})
        app = set_product(app_stand_in(hardware("boron"), 4201), Product(self.product.id, 7))
        assert self.client.post(f"{product}/firmware", data={"version": "7"}, files={"file": app}).is_success
        self.client.patch(f"{product}/devices/{self.member.id}/docs/notes", json={"a": 1})
        self.reports = {}
        for place in ("/v1/user", "/v1/orgs/factory"):
            agreement = self.client.get(f"{place}/service_agreements").json()["data"][0]["id"]
            body = {"report_type": "devices", "date_period_start": "2026-01-01", "date_period_end": "2026-02-01"}
            report = self.post(f"{place}/service_agreements/{agreement}/usage_reports", body)["data"]["id"]
            self.reports[place] = (str(agreement), report)

    def names(self, path):
        """What the names in a path stand for."""
        place = next((p for p in ("products", "orgs") if path.startswith(f"/v1/{p}/")), "")
        base = {"products": f"/v1/products/{self.product.id}", "orgs": "/v1/orgs/factory", "": "/v1"}[place]
        is_members = place == "products"
        agreement, report = self.reports["/v1/orgs/factory" if place == "orgs" else "/v1/user"]
        return {
            "product": str(self.product.id),
            "device": self.member.id if is_members else self.own.id,
            "org": "factory",
            "iccid": self.member.iccid if is_members else self.own.iccid,
            "serial": self.own.serial_number,
            "function": "led",
            "variable": "volts",
            "version": "7" if is_members else "4.2.0",
            "group": "beta",
            "document": "notes",
            "integration": self.hooks[base],
            "client": self.clients.get(base, {"id": ""})["id"],
            "email": "you@example.com",
            "username": self.users.get(base, ""),
            "agreement": agreement,
            "report": report,
            "token": self.cloud.population.make_token(self.owner),
        }


WORLDS = []


def app_of_the_present_world(environ, start_response):
    if not WORLDS:
        WORLDS.append(World())
    return WORLDS[-1].cloud.app(environ, start_response)


SCHEMA = openapi.from_wsgi("/openapi.json", app_of_the_present_world)
OPERATIONS = [result.ok() for result in SCHEMA.get_all_operations()]
NEEDS_MORE = {
    "POST /oauth/token": "a password",
    "GET /v1/access_tokens": "a password",
    "POST /v1/binaries": "a compiler, which there is not",
    "POST /v1/devices": "a device of another account, online",
    "POST /v1/products/{product}/customers": "a client's secret",
    "POST /v1/products/{product}/team": "a user, or a name and scopes",
    "POST /v1/orgs/{org}/team": "a user, or a name and scopes",
    "POST /v1/provisioning/{device}": "a key",
    "POST /v1/products/{product}/firmware": "real firmware",
    "PUT /v1/products/{product}/firmware/release": "a device that has run the version",
    "PUT /v1/devices/{device}": "a change that means something",
    "PUT /v1/products/{product}/devices/{device}": "a change that means something",
}
"""Where a fuzzer's bodies do not get through. Other tests, and particle-api-js, see these work."""


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.label)
def test_every_endpoint_answers_as_described(operation):
    world = World()
    WORLDS[:] = [world]
    statuses = set()

    @given(case=operation.as_strategy(), is_aimed=strategies.booleans())
    @settings(max_examples=EXAMPLES, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
    def answers(case, is_aimed):
        # A fuzzer never hits by itself what there is.
        if is_aimed or not statuses:
            names = world.names(operation.path)
            for name in set(case.path_parameters or ()) & set(names):
                case.path_parameters[name] = names[name]
        # Some endpoints end tokens.
        headers = {"Authorization": f"Bearer {world.cloud.population.make_token(world.owner)}"}
        statuses.add(case.call_and_validate(headers=headers, checks=CHECKS).status_code)

    answers()
    world.cloud.close()
    if operation.label not in NEEDS_MORE:
        assert min(statuses) < 300, "it was never seen to work"


def test_the_description_names_every_endpoint():
    world = World()
    paths = world.client.get("/openapi.json").json()["paths"]
    described = {(method, path) for path, operations in paths.items() for method in operations}
    assert len(described) == len(OPERATIONS) == sum(route.public for route in ALL_ROUTES)
    assert not any(path.startswith("/sim/") for path in paths)
    world.cloud.close()
