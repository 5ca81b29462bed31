"""``particle-dev cloud devices retire`` before the simulated cloud, which is our own: the real one is not proven."""

import json

import click
import platformdirs
import pytest

from particle_dev.cli.exit_codes import ExitCode
from particle_dev.cli.root import root
from particle_dev.cloud.product_devices import ProductDevices
from particle_dev.cloud.records import DeviceRecord
from particle_dev.cloud.removal import Removal, RemovalStep
from particle_dev.cloud.removal_client import ApiRemoval, is_member
from particle_dev.cloud.retire import RemovalFile
from particle_dev.cloud.sims import Sims
from particle_dev.errors import CloudNotFoundError, CloudServerError, ImportStateError, PermissionMissingError
from particle_dev.permissions import _GRANTS
from particle_dev.protocol.secret import Secret
from tests.cli.test_cloud_cli import member, result, run, site

__all__ = ["member", "site"]


@pytest.fixture(autouse=True)
def data_dir(tmp_path, monkeypatch):
    monkeypatch.setattr(platformdirs, "user_data_path", lambda _: tmp_path / "data")
    return tmp_path / "data" / "removals"


def test_device_and_sim_are_gone_and_nothing_is_left_behind(site, member, data_dir):
    (told,) = result(run(site, "devices", "retire", member.id.upper(), "--may-release", "--json"))
    assert told == {"device_id": member.id, "iccid": member.iccid, "complete": True, "remaining": [], "error": None}
    with pytest.raises(CloudNotFoundError):
        ProductDevices(site.api, site.product.id).get(member.id)
    assert Sims(site.api, site.product.id).find(member.iccid) is None
    assert list(data_dir.iterdir()) == []


def test_one_that_waits_in_quarantine_afterwards_is_out(site, member):
    def counts(**changes):
        return is_member(DeviceRecord(member.id, product_id=site.product.id, **changes), str(site.product.id))

    assert counts()
    assert not counts(quarantined=True)
    assert not counts(denied=True)
    assert not is_member(DeviceRecord(member.id, product_id=13), str(site.product.id))


def test_without_the_flag_nothing_is_asked(site, member):
    before = len(site.requests)
    done = run(site, "devices", "retire", member.id)
    assert isinstance(done.exception, PermissionMissingError)
    assert (done.exit_code, "--may-release" in done.exception.hint) == (ExitCode.REFUSED, True)
    assert len(site.requests) == before


def test_an_api_user_for_it_may_do_it(site, member, tmp_path):
    out = tmp_path / "token"
    assert run(site, "api-user", "create", "Undo", "--job", "check", "--job", "undo", "--out", str(out)).exit_code == 0
    site.api.token = Secret(out.read_text().strip())
    assert run(site, "devices", "retire", member.id, "--may-release").exit_code == 0


def test_one_that_is_no_member_is_told_and_the_others_are_done(site, member):
    stranger = site.sim.population.make_device("boron")
    done = run(site, "devices", "retire", stranger.id, member.id, "--may-release")
    assert done.exit_code == ExitCode.NO_DEVICE
    assert f"{member.id}: out of the product" in done.stdout
    (told,) = [line for line in done.stdout.splitlines() if line.startswith(stranger.id)]
    assert told.count("check") <= 1
    assert "; " in told
    assert Sims(site.api, site.product.id).find(member.iccid) is None


def test_the_sim_is_still_known_after_a_crash_between_the_halves(site, member, monkeypatch):
    def crash(*_):
        raise CloudServerError("503", hint="again")

    with monkeypatch.context() as patch:
        patch.setattr(ApiRemoval, "release_sim", crash)
        assert isinstance(run(site, "devices", "retire", member.id, "--may-release").exception, CloudServerError)
    assert Sims(site.api, site.product.id).find(member.iccid) is not None
    assert run(site, "devices", "retire", member.id, "--may-release").exit_code == 0
    assert Sims(site.api, site.product.id).find(member.iccid) is None


def test_a_pending_release_is_incomplete_and_goes_on_later(site, member, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(ApiRemoval, "sim_status", lambda *_: "updating")
        done = run(site, "devices", "retire", member.id, "--may-release", "--json")
    (told,) = json.loads(done.stdout)
    assert done.exit_code == ExitCode.INCOMPLETE
    assert (told["complete"], told["remaining"]) == (False, ["release_sim", "verify"])
    assert run(site, "devices", "retire", member.id, "--may-release").exit_code == 0


def test_the_file_proves_anew_and_says_when_it_is_damaged(tmp_path):
    file = RemovalFile(tmp_path / "one.json")
    assert file.load() is None
    file.save(Removal("e0", "1", "89", (RemovalStep.UNCLAIM,)))
    assert file.load() == Removal("e0", "1", "89", (RemovalStep.UNCLAIM,))
    file.path.write_text('{"device_id": "e0", "product": "1", "iccid": null, "done": ["unclaim", "verify"]}')
    assert file.load().done == (RemovalStep.UNCLAIM,)
    file.path.write_text("{")
    with pytest.raises(ImportStateError, match="damaged"):
        file.load()


def _options(command, context):
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            yield from _options(command.get_command(context, name), context)
    else:
        for parameter in command.params:
            yield from parameter.opts


def test_each_option_that_a_hint_names_is_one_of_a_command():
    assert set(_GRANTS.values()) <= set(_options(root, click.Context(root)))
