"""The client before the simulated cloud, which Particle's own clients judge (tests/judges). Time is virtual.

Event streams are real connections to its server: see test_events_against_simulator.py.
"""

import json
import logging
import traceback

import pytest
from particle_harness.cloud import SimDevice

from particle_dev.cloud import device_os, diagnostics, tokens, usage
from particle_dev.cloud.devices import AccountDevices
from particle_dev.cloud.firmware import ProductFirmwares
from particle_dev.cloud.groups import create_group, groups, remove_group
from particle_dev.cloud.integrations import Integrations
from particle_dev.cloud.product_devices import ProductDevices
from particle_dev.cloud.products import organizations, product, products
from particle_dev.cloud.serial_numbers import SerialNumbers
from particle_dev.cloud.sims import Sims
from particle_dev.errors import (
    CloudAuthError,
    CloudDeniedError,
    CloudDeviceTimeoutError,
    CloudLimitError,
    CloudNotFoundError,
    CloudRefusedError,
    CloudReplyError,
    CloudServerError,
    LinkDisconnectedError,
    MfaRequiredError,
    ParticleDevError,
    ProductVersionError,
)
from particle_dev.permissions import Permissions
from particle_dev.protocol.secret import Secret
from tests.cloud.sim_site import SimSite
from tests.cloud.test_firmware_and_more import application

ALL = Permissions(may_bill=True, may_update_devices=True)


@pytest.fixture
def site():
    made = SimSite(plan="basic", org=True)
    yield made
    made.close()


@pytest.fixture
def device(site):
    """A member that can be called, online."""
    record = site.sim.population.make_device("boron")
    members(site).import_devices([record.id], ALL)
    site.clock.sleep(60)
    board = SimDevice(
        site.sim,
        record,
        functions={"led": len},
        variables={"volts": 3.25},
        firmware_product_id=site.product.id,
        firmware_version=1,
    )
    board.connect()
    return board


def members(site):
    return ProductDevices(site.api, site.product.id)


# ---- tokens -----------------------------------------------------------------------------------------------------


def test_login_whoami_logout(site):
    login = tokens.log_in(site.api, "me@example.com", Secret("password"))
    api = site.api_for(login.access_token.reveal())
    assert tokens.user_name(api) == "me@example.com"
    info = tokens.token_info(api)
    assert not info.scopes
    assert abs((info.expires_at - login.expires_at).total_seconds()) < 5
    assert info.organizations == ("acme",)
    tokens.revoke_current(api)
    with pytest.raises(CloudAuthError):
        tokens.user_name(api)


def test_a_wrong_password_a_wrong_token_an_expired_one(site):
    with pytest.raises(CloudAuthError):
        tokens.log_in(site.api, "me@example.com", Secret("hunter22"))
    with pytest.raises(CloudAuthError):
        list(ProductDevices(site.api_for("f" * 40), site.product.id).list())
    token = site.sim.population.make_token(site.owner, life_s=60)
    api = site.api_for(token)
    list(ProductDevices(api, site.product.id).list())
    site.clock.sleep(61)
    with pytest.raises(CloudAuthError, match="expired"):
        list(ProductDevices(api, site.product.id).list())


def test_multi_factor_authentication(site):
    site.sim.population.add_account("careful@example.com", mfa_secret="123456")
    with pytest.raises(MfaRequiredError):
        tokens.log_in(site.api, "careful@example.com", Secret("password"))
    login = tokens.log_in(site.api, "careful@example.com", Secret("password"), otp=lambda: Secret("123456"))
    assert tokens.user_name(site.api_for(login.access_token.reveal())) == "careful@example.com"


def test_nine_wrong_passwords_are_refused_here_before_the_cloud_bans_the_address(site):
    for _ in range(9):
        with pytest.raises(CloudAuthError):
            tokens.log_in(site.api, "me@example.com", Secret("wrong"))
    with pytest.raises(CloudLimitError) as caught:
        tokens.log_in(site.api, "me@example.com", Secret("password"))
    assert caught.value.status is None
    site.clock.sleep(caught.value.wait_s)
    tokens.log_in(site.api, "me@example.com", Secret("password"))


def test_an_api_user_may_what_its_scopes_say(site):
    user = tokens.create_api_user(site.api, "Line 1", {"devices:list"}, product=site.product.id)
    api = site.api_for(user.token.reveal())
    list(ProductDevices(api, site.product.id).list())
    with pytest.raises(CloudDeniedError):
        ProductDevices(api, site.product.id).import_devices(["e00fce680000000000000001"], ALL)
    with pytest.raises(CloudDeniedError, match="devices:import"):
        tokens.require_scopes(api, tokens.scopes_for(["provision"]), "the import")
    assert user.username in [m.username for m in tokens.team(site.api, product=site.product.id)]
    changed = tokens.change_scopes(site.api, user.username, tokens.scopes_for(["provision"]), product=site.product.id)
    with pytest.raises(CloudAuthError):
        list(ProductDevices(api, site.product.id).list())
    tokens.require_scopes(site.api_for(changed.token.reveal()), tokens.scopes_for(["provision"]), "the import")
    tokens.remove_api_user(site.api, user.username, product=site.product.id)
    with pytest.raises(CloudAuthError):
        tokens.token_info(site.api_for(changed.token.reveal()))


# ---- devices ----------------------------------------------------------------------------------------------------


def test_a_device_from_order_to_removal(site):
    people = site.sim.population
    fresh = people.make_device("boron")
    argon = people.make_device("argon")
    other = people.add_product("Other", "boron", site.owner, org=site.org)
    elsewhere = people.make_device("boron")
    assert ProductDevices(site.api, other.id).import_devices([elsewhere.id], ALL).complete
    result = members(site).import_devices([fresh.id.upper(), argon.id, elsewhere.id, "e00fce68ffffffffffffffff"], ALL)
    assert result.added == (fresh.id.upper(),)
    assert set(result.invalid) == {argon.id, elsewhere.id, "e00fce68ffffffffffffffff"}
    assert members(site).import_devices([fresh.id], ALL).complete
    record = members(site).get(fresh.id)
    assert (record.product_id, record.platform_id, record.ever_online) == (site.product.id, 13, False)
    assert record.serial_number == fresh.serial_number
    assert members(site).find_serial_number(fresh.serial_number).id == fresh.id
    assert SerialNumbers(site.api).look_up(fresh.serial_number) == (fresh.id, 13)
    members(site).rename(fresh.id, "one")
    members(site).set_notes(fresh.id, "a note")
    members(site).set_groups(fresh.id, ["20260101"], ALL)
    members(site).change_groups([fresh.id], ALL, add=["night"], remove=["20260101"])
    members(site).set_development(fresh.id, True)
    record = members(site).get(fresh.id)
    assert (record.name, record.notes, record.groups, record.development) == ("one", "a note", ("night",), True)
    members(site).remove(fresh.id)
    with pytest.raises(CloudNotFoundError):
        members(site).get(fresh.id)
    assert not site.sim.ledger.metered(fresh.id)


def test_every_page_and_no_request_more(site):
    ids = [f"e00fce68{n:016x}" for n in range(250)]
    site.sim.population.make_devices("boron", ids)
    members(site).import_devices(ids, ALL)
    site.requests.clear()
    assert sorted(d.id for d in members(site).list(sort="deviceId")) == ids
    assert len(site.requests) == 3


def test_talking_to_a_board(site, device):
    of = members(site)
    record = of.get(device.id)
    assert record.online
    assert record.ever_online
    assert record.functions == ("led",)
    assert of.ping(device.id) is True
    assert of.call_function(device.id, "led", "abc") == 3
    assert of.variable(device.id, "volts") == 3.25
    of.signal(device.id, True)
    assert device.signals
    with pytest.raises(CloudNotFoundError):
        of.call_function(device.id, "nothing")
    with pytest.raises(CloudNotFoundError):
        of.variable(device.id, "nothing")
    device.answers = False
    with pytest.raises(CloudDeviceTimeoutError):
        of.call_function(device.id, "led")
    assert of.ping(device.id) is False


def test_claiming(site, device):
    record = members(site).get(device.id)
    mine = AccountDevices(site.api)
    mine.claim(record.id, ALL)
    assert [d.id for d in mine.list()] == [record.id]
    stranger = site.sim.population.add_account("you@example.com")
    yours = AccountDevices(site.api_for(site.sim.population.make_token(stranger)))
    with pytest.raises(CloudRefusedError):
        yours.claim(record.id, ALL)
    mine.unclaim(record.id)
    yours.claim(record.id, ALL)
    assert mine.list() == []
    assert len(mine.claim_code().reveal()) == 63


def test_an_id_of_somebody_else(site):
    stranger = site.sim.population.add_account("you@example.com")
    api = site.api_for(site.sim.population.make_token(stranger))
    with pytest.raises(CloudDeniedError):
        list(ProductDevices(api, site.product.id).list())
    with pytest.raises(CloudRefusedError):
        members(site).get("e00fce68ffffffffffffffff")


# ---- SIMs, firmware, the rest -----------------------------------------------------------------------------------


def test_the_life_of_a_sim(site, device):
    sims = Sims(site.api, site.product.id)
    (sim,) = sims.list()
    assert (sim.status, sim.ever_active, sim.last_device_id) == ("active", True, device.id)
    state = sims.connection(sim.iccid)
    for _ in range(30):
        if state.complete:
            break
        site.clock.sleep(10)
        state = sims.connection(sim.iccid)
    assert state.complete
    assert sims.usage(sim.iccid).total_mb >= 0
    sims.deactivate(sim.iccid)
    site.clock.sleep(3600)
    assert sims.get(sim.iccid).status != "active"
    sims.reactivate(sim.iccid, ALL)
    site.clock.sleep(3600)
    assert sims.get(sim.iccid).status == "active"
    members(site).remove(device.id)
    sims.release(sim.iccid)
    site.clock.sleep(86400)
    assert sims.find(sim.iccid) is None


def test_firmware_from_upload_to_release(site, device):
    firmware = ProductFirmwares(site.api, site.product.id)
    one, two = (application(n, site.product.id) for n in (1, 2))
    assert firmware.upload(one, "One", product_id=site.product.id).version == 1
    firmware.upload(two, "Two", product_id=site.product.id)
    assert [f.version for f in firmware.list()] == [2, 1]
    assert firmware.binary(2) == two
    assert firmware.upload(two, "Two", product_id=site.product.id).version == 2
    with pytest.raises(ProductVersionError, match="No device of the product has connected with version 2"):
        firmware.release(2, ALL, product_default=True)
    members(site).lock_firmware(device.id, 2, ALL, flash_now=True)
    site.clock.sleep(60)
    site.sim.advance()
    assert members(site).get(device.id).firmware_version == 2
    members(site).unlock_firmware(device.id, ALL)
    assert firmware.impact(2, product_default=True).affected is not None
    firmware.release(2, ALL, product_default=True)
    assert firmware.get(2).product_default


def test_groups(site):
    create_group(site.api, site.product.id, "night")
    assert "night" in [g.name for g in groups(site.api, site.product.id)]
    remove_group(site.api, site.product.id, "night", ALL)
    assert "night" not in [g.name for g in groups(site.api, site.product.id)]


def test_products_and_usage(site):
    assert organizations(site.api)[0][1] == "acme"
    assert [p.id for p in products(site.api, "acme")] == [site.product.id]
    assert product(site.api, site.product.slug) == product(site.api, site.product.id)
    with pytest.raises(CloudRefusedError):
        product(site.api, 99999)
    agreements = usage.service_agreements(site.api, "acme")
    assert agreements[0].used() is not None


def test_vitals(site, device):
    assert diagnostics.last_vitals(site.api, device.id, site.product.id) is None
    diagnostics.refresh_vitals(site.api, device.id, site.product.id)
    report = diagnostics.last_vitals(site.api, device.id, site.product.id)
    assert report.device["network"]["signal"]["strength"] == 80


def test_integrations(site):
    of = Integrations(site.api, product_ref=site.product.id)
    made = of.create_webhook("temp", Secret("https://example.com/?key=topsecret"), headers={"X": Secret("k")})
    assert [i.id for i in of.list()] == [made.id]
    of.remove(made.id)
    assert of.list() == []


def test_device_os(site):
    found = device_os.releases(site.api, 13)
    assert found
    release = device_os.release(site.api, found[0].version, 13)
    assert release.base_url


# ---- faults -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ({"do": "html", "count": 0}, CloudServerError),
        ({"do": "truncate", "count": 0}, CloudReplyError),
        ({"do": "empty", "count": 0}, CloudReplyError),
        ({"do": "drop", "count": 0}, LinkDisconnectedError),
        ({"do": "status", "status": 500, "count": 0}, CloudServerError),
        ({"do": "status", "status": 429, "count": 0}, CloudLimitError),
        ({"do": "status", "status": 529, "count": 0}, CloudLimitError),
        ({"do": "expire_token", "count": 0}, CloudAuthError),
        ({"do": "status", "status": 500, "shape": "errors", "count": 0}, CloudServerError),
        ({"do": "status", "status": 500, "shape": "code", "count": 0}, ParticleDevError),
    ],
)
def test_what_goes_wrong_for_good_is_told_for_what_it_is(site, fault, error):
    site.sim.add_fault({"on": "GET /v1/products/*"} | fault)
    with pytest.raises(error) as caught:
        product(site.api, site.product.id)
    assert caught.value.hint
    assert json.dumps(caught.value.fields(), default=str)


@pytest.mark.parametrize(
    "fault",
    [
        {"do": "html"},
        {"do": "drop"},
        {"do": "status", "status": 500},
        {"do": "status", "status": 503, "count": 3},
        {"do": "status", "status": 429},
        {"do": "status", "status": 529, "retry_after_s": 30},
    ],
)
def test_what_passes_is_tried_again(site, fault):
    site.sim.add_fault({"on": "GET /v1/products/*"} | fault)
    assert product(site.api, site.product.id).id == site.product.id


def test_a_token_that_expires_in_the_middle_of_a_list(site):
    ids = [f"e00fce68{n:016x}" for n in range(250)]
    site.sim.population.make_devices("boron", ids)
    members(site).import_devices(ids, ALL)
    site.sim.add_fault({"do": "expire_token", "on": "GET /v1/products/*/devices", "n": 2, "count": 0})
    seen = []
    with pytest.raises(CloudAuthError):
        seen.extend(iter_into(members(site).list(sort="deviceId"), seen))
    assert len(seen) == 100


def iter_into(records, seen):
    for record in records:
        seen.append(record)
    return []


def test_an_import_whose_answer_is_lost_is_not_doubled(site):
    device = site.sim.population.make_device("boron")
    site.sim.add_fault({"do": "drop", "on": "POST /v1/products/*/devices"})
    assert members(site).import_devices([device.id], ALL).complete


def test_an_id_that_the_cloud_calls_invalid(site):
    device = site.sim.population.make_device("boron")
    site.sim.add_fault({"do": "invalid_id", "device_id": device.id})
    assert members(site).import_devices([device.id], ALL).invalid == (device.id,)


def test_no_secret_in_any_log_record_or_traceback(site, caplog, device):
    """Every call of the client with logging at its loudest, tokens and passwords searched for in all that it leaves."""
    caplog.set_level(logging.DEBUG)
    wrong = Secret("".join(["hunter", "22"]))  # put together: tracebacks quote the lines of this file
    secrets = {"password": wrong.reveal(), "token": site.token}
    texts = []
    login = tokens.log_in(site.api, "me@example.com", Secret("password"))
    secrets["new token"] = login.access_token.reveal()
    secrets["mobile secret"] = members(site).get(device.id).mobile_secret.reveal()
    user = tokens.create_api_user(site.api, "Line 1", {"devices:list"}, product=site.product.id)
    secrets["api user"] = user.token.reveal()
    secrets["claim code"] = AccountDevices(site.api).claim_code().reveal()
    for record in (login, user, members(site).get(device.id), tokens.token_info(site.api)):
        texts += [repr(record), str(record)]
    for act in (
        lambda: tokens.log_in(site.api, "me@example.com", wrong),
        lambda: tokens.revoke_current(site.api_for(site.token[::-1])),
        lambda: product(site.api_for("f" * 40), 1),
        lambda: product(site.api, 99),
    ):
        try:
            act()
        except ParticleDevError as error:
            texts.append("".join(traceback.format_exception(error)))
            texts.append(repr(error.fields()))
    tokens.revoke_current(site.api_for(login.access_token.reveal()))
    everything = caplog.text + "".join(texts)
    assert "DELETE /v1/access_tokens/current" in everything
    for name, secret in secrets.items():
        assert secret not in everything, name
