"""SIMs: list, import, activate, deactivate, release, status, usage."""

from __future__ import annotations

from typing import Any

from particle_harness.cloud.api.lookup import per_page_of, product_of, sim_of
from particle_harness.cloud.api.product_devices import import_sim
from particle_harness.cloud.clock import iso
from particle_harness.cloud.errors import ApiError, bad_request, not_found
from particle_harness.cloud.routes import Call, Reply, Routes
from particle_harness.cloud.shapes import (
    Ok,
    SimAction,
    SimImport,
    SimRecord,
    SimsPage,
    SimsQuery,
    SimStatus,
    SimUsage,
)
from particle_harness.cloud.tables import Device, Sim
from particle_harness.cloud.views import pages, sim_record

ROUTES = Routes()
_SIMS = ("/v1/sims", "/v1/products/<product>/sims")
_ONE = tuple(f"{path}/<iccid>" for path in _SIMS)
STATUS_AFTER_S, STATUS_LIFE_S = 10.0, 180.0


@ROUTES.add("GET", *_SIMS, scope="sims:list", query=SimsQuery, answer=SimsPage)
def list_sims(call: Call) -> dict[str, Any]:
    """List SIMs, a page at a time."""
    cloud, query = call.cloud, call.query
    is_of_product = "product" in call.params
    where = "owner_product = ?" if is_of_product else "owner_account = ?"
    values: list[Any] = [product_of(call).id if is_of_product else call.who.id]
    if query.iccid:
        where += " AND instr(iccid, ?) > 0"
        values.append(query.iccid)
    if query.deviceId:
        where += " AND instr(device_id, ?) > 0"
        values.append(query.deviceId.lower())
    if query.deviceName:
        where += " AND device_id IN (SELECT id FROM device WHERE instr(lower(name), lower(?)) > 0)"
        values.append(query.deviceName)
    per_page = per_page_of(call)
    total = cloud.store.count(Sim, where, values)
    sims = cloud.store.select(Sim, where, values, limit=per_page, offset=(query.page - 1) * per_page)
    return {"sims": [sim_record(cloud, sim) for sim in sims], "meta": pages(total, query.page, per_page)}


@ROUTES.add("GET", *_ONE, scope="sims:get", answer=SimRecord, errors=(404,))
def get_sim(call: Call) -> dict[str, Any]:
    """Tell about a SIM."""
    return sim_record(call.cloud, sim_of(call))


@ROUTES.add("HEAD", "/v1/sims/<iccid>", scope="sims:get", status=204, errors=(404,))
def check_sim(call: Call) -> Reply:
    """Tell whether a SIM can be had, by the status alone; npm's particle-api-js takes an empty 200 for an error."""
    sim = call.cloud.store.get(Sim, call.params["iccid"])
    if sim is None:
        raise not_found("SIM")
    if sim.owner_product or sim.owner_account not in ("", call.who.id):
        raise ApiError(403, "SIM belongs to somebody else")
    return Reply(204)


@ROUTES.add(
    "POST", "/v1/products/<product>/sims", scope="sims:import", body=SimImport, answer=Ok, errors=(400,), multipart=True
)
def import_sims(call: Call) -> dict[str, Any]:
    """Import SIMs and their devices; activation goes on by itself, and its result is not told."""
    product = product_of(call)
    iccids = list(call.body.sims)
    for file in call.files:
        iccids += [line.strip() for line in file.data.decode(errors="replace").splitlines()]
    iccids = [iccid for iccid in iccids if iccid]
    if not iccids:
        raise bad_request("no ICCIDs were given")
    for iccid in dict.fromkeys(iccids):
        sim = call.cloud.store.get(Sim, iccid)
        if sim is None or not import_sim(call, product, iccid, call.body.country):
            continue
        device = call.cloud.store.get(Device, sim.device_id) if sim.device_id else None
        if device is not None and not device.product_id and device.platform_id == product.platform_id:
            call.cloud.take_into_product(device, product, "imported with its SIM")
    return {"ok": True}


@ROUTES.add("PUT", *_ONE, scope="sims:update", body=SimAction, answer=dict[str, Any], errors=(400, 403, 404))
def change_sim(call: Call) -> dict[str, Any]:
    """Activate, deactivate or reactivate a SIM."""
    body: SimAction = call.body
    sim = _sim_to_activate(call) if body.action == "activate" and "product" not in call.params else sim_of(call)
    if body.mb_limit is not None:
        sim.mb_limit = body.mb_limit
    if not call.cloud.change_sim(sim, body.action):
        raise bad_request(f"a SIM that is {sim.status} cannot be changed by {body.action}")
    return {"ok": True, **sim_record(call.cloud, call.cloud.store.get(Sim, sim.iccid) or sim)}


def _sim_to_activate(call: Call) -> Sim:
    """One's own, or one that nobody has."""
    sim = call.cloud.store.get(Sim, call.params["iccid"])
    if sim is None:
        raise not_found("SIM")
    if sim.owner_product or sim.owner_account not in ("", call.who.id):
        raise ApiError(403, "SIM belongs to somebody else")
    sim.owner_account = call.who.id
    call.cloud.store.put(sim)
    return sim


@ROUTES.add("DELETE", *_ONE, scope="sims:remove", status=204, errors=(404,))
def release_sim(call: Call) -> Reply:
    """Release a SIM: it is deactivated, and nobody owns it any more."""
    cloud, sim = call.cloud, sim_of(call)
    cloud.change_sim(sim, "release")
    sim = cloud.store.get(Sim, sim.iccid) or sim
    sim.owner_account, sim.owner_product = "", 0
    cloud.store.put(sim)
    cloud.ledger.sim_released(sim)
    return Reply(204)


@ROUTES.add("GET", *(f"{path}/status" for path in _ONE), scope="sims.status:get", answer=SimStatus, errors=(404,))
def sim_status(call: Call) -> dict[str, Any]:
    """Ask the carrier about a SIM; its answer takes a while."""
    cloud, sim = call.cloud, sim_of(call)
    now_s = cloud.now_s()
    device = cloud.store.get(Device, sim.device_id) if sim.device_id else None
    asked_at_s = cloud.carrier_asked_at(sim.iccid, STATUS_LIFE_S)
    is_complete = now_s - asked_at_s >= STATUS_AFTER_S
    meta = {
        "state": "complete" if is_complete else "pending",
        "created_at": iso(asked_at_s),
        "check_again_after": iso(asked_at_s + STATUS_AFTER_S),
        "expires_at": iso(asked_at_s + STATUS_LIFE_S),
        "method": "GET",
        "task_id": sim.iccid,
    }
    answer: dict[str, Any] = {"ok": True, "meta": meta}
    if is_complete:
        connected = sim.status == "active" and device is not None and device.online
        answer["sim_status"] = {"connected": connected, "gsm_connection": connected, "data_connection": connected}
    return answer


def _by_day(usage: dict[str, float]) -> list[dict[str, Any]]:
    total, days = 0.0, []
    for day in sorted(usage):
        total += usage[day]
        days.append({"date": day, "mbs_used": usage[day], "mbs_used_cumulative": round(total, 6)})
    return days


@ROUTES.add("GET", *(f"{path}/data_usage" for path in _ONE), scope="sims:get", answer=SimUsage, errors=(404,))
def data_usage(call: Call) -> dict[str, Any]:
    """Tell the megabytes of a SIM by day."""
    sim = sim_of(call)
    used = round(sum(sim.usage_by_day.values()), 6)
    return {"iccid": sim.iccid, "usage_by_day": _by_day(sim.usage_by_day), "quota": sim.mb_limit, "used": used}


@ROUTES.add("GET", "/v1/products/<product>/sims/data_usage", scope="sims.usage:get", answer=SimUsage)
def fleet_usage(call: Call) -> dict[str, Any]:
    """Tell the megabytes of a product's SIMs by day."""
    total: dict[str, float] = {}
    for sim in call.cloud.store.find(Sim, owner_product=product_of(call).id):
        for day, megabytes in sim.usage_by_day.items():
            total[day] = round(total.get(day, 0.0) + megabytes, 6)
    used = round(sum(total.values()), 6)
    return {"total_mbs_used": used, "usage_by_day": _by_day(total), "quota": 0, "used": used}
