"""The pytest plugin, by runs of pytest on virtual boards. Boards and plugin are ours; pytest and xdist are the judges
of how the plugin behaves among others."""

import errno
import logging
import os
import subprocess
import sys
import textwrap
import xml.etree.ElementTree as ET
from fnmatch import fnmatch
from pathlib import Path

import pytest
import usb.core
from particle_harness.bench import default_device_id
from particle_harness.boards import hardware
from particle_harness.factory import app_stand_in, bootloader_stand_in
from particle_harness.hil.bench import HilBench
from particle_harness.hil.cloud import particle_cloud
from particle_harness.hil.wanted import Wanted
from particle_harness.selftest_boards import Defect
from particle_harness.usb.pyusb_backend import VirtualBackend

from particle_dev.device.device_tests import DeviceTestSession
from particle_dev.errors import BenchError, ConfigError, LinkAccessError, SlotBusyError, WrongDeviceError
from particle_dev.permissions import NOTHING
from particle_dev.station.bench import open_bench
from particle_dev.station.bench_file import TestRules
from particle_dev.station.lease import Leases

pytest_plugins = ["pytester"]
NOT_RUN = 6
BORON = default_device_id(hardware("boron"), "A")
PHOTON = default_device_id(hardware("photon"), "B")
TWO = """
[bench]
driver = "virtual"
{state}
[[slot]]
name = "A"
platform = "boron"
wiring = ["loopback"]
[[slot]]
name = "B"
platform = "photon"
{test}
"""
NAME = """
    def test_it_knows_its_name(particle_board):
        with particle_board.control() as session:
            assert session.device_id() == particle_board.device_id
"""


def two(state="", test=""):
    return TWO.format(state=state, test=test)


def properties(path):
    """Of each test case, by its name."""
    return {
        case.get("name"): {p.get("name"): p.get("value") for p in case.iter("property")}
        for case in ET.parse(path).getroot().iter("testcase")
    }


# ---- among other tests ----------------------------------------------------------------------------------------------


def test_three_lines(run):
    result = run(NAME)
    result.assert_outcomes(passed=1)
    assert result.ret == 0
    result.stdout.fnmatch_lines(["*1 passed on virtual boards: proofs about models, not about hardware"])


def test_whoever_does_not_ask_for_boards_pays_nothing_and_sees_nothing(run):
    result = run("import pytest\ndef test_a(): pass\n@pytest.mark.skip(reason='why')\ndef test_b(): pass")
    assert result.ret == 0
    result.stdout.no_fnmatch_line("*Particle boards*")
    result.stdout.no_fnmatch_line("*particle bench*")


@pytest.mark.parametrize("seconds", ["nan", "inf", "-1", "soon"])
def test_a_time_to_wait_is_a_number_that_ends(run, seconds):
    result = run("def test_a(): pass", f"--particle-lease-timeout={seconds}")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"*--particle-lease-timeout*{seconds}*"])


def test_importing_the_plugin_imports_nothing_heavy():
    code = (
        "import sys, pytest; before = set(sys.modules); import particle_harness.plugin; "
        "print(*sorted({m.partition('.')[0] for m in set(sys.modules) - before}))"
    )
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert "particle_dev" not in loaded
    assert set(loaded) <= {"particle_harness", "getpass", "termios"}


def test_markers_are_known_to_strict_runs(run):
    run(
        f"import pytest\n@pytest.mark.may_erase\n@pytest.mark.particle_power\n{NAME.strip()}", "--strict-markers"
    ).assert_outcomes(passed=1)


# ---- which board ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("marker", "platform"),
    [
        ("particle_platform('photon')", "photon"),
        ("particle_wiring('loopback')", "boron"),
        ("particle_link('usb', 'serial')", "boron"),
        ("particle_device_os('>=1.0.0')", "boron"),
    ],
)
def test_markers_choose(run, marker, platform):
    text = f"""
        import pytest
        @pytest.mark.{marker}
        def test_a(particle_board):
            assert particle_board.platform.name == {platform!r}
    """
    assert run(text, bench=two()).ret == 0


@pytest.mark.parametrize(
    ("marker", "reason"),
    [
        ("particle_platform('p2')", "slot A: it is a boron, not p2; slot B: it is a photon, not p2"),
        ("particle_wiring('i2c')", "it is not wired for i2c"),
        ("particle_link('swd')", "it has no debug probe"),
        ("particle_device_os('>=99.0.0')", "it runs Device OS *, not >=99.0.0"),
        ("may_erase", "is not in may_erase of the bench file"),
        ("may_connect", "is not in may_connect of the bench file"),
    ],
)
def test_a_test_that_no_board_may_have_is_not_run_and_no_pass(run, marker, reason):
    text = f"""
        import pytest
        @pytest.mark.{marker}
        def test_a(particle_board):
            raise RuntimeError("it was run")
        def test_b(particle_board):
            pass
    """
    result = run(text, bench=two(test="[test]"))
    result.assert_outcomes(passed=1, skipped=1)
    assert result.ret == NOT_RUN
    result.stdout.fnmatch_lines(["1 not run, which is no pass (exit status 6):", "*::test_a"])
    assert fnmatch(" ".join(result.stdout.str().split()), f"*{reason}*")


def test_permissions_go_by_device_id_and_only_to_tests_that_ask(run):
    text = """
        import pytest
        @pytest.mark.may_erase
        def test_a(particle_board):
            assert particle_board.platform.name == "photon"
            assert particle_board.permissions.may_erase and not particle_board.permissions.may_connect
        def test_b(particle_board):
            assert not particle_board.permissions.may_erase
    """
    result = run(text, bench=two(test=f'[test]\\nmay_erase = ["{PHOTON}"]\\n'.replace("\\n", "\n")))
    assert result.ret == 0


def test_a_permission_of_another_board_that_sits_in_the_slot_is_worth_nothing(run):
    """The file says which board is in the slot; another one is there."""
    bench = two(test=f'[test]\nmay_erase = ["{BORON}"]').replace(
        'name = "A"', f'name = "A"\ndevice_id = "{"e00fce68" + "1" * 16}"'
    )
    text = "import pytest\n@pytest.mark.may_erase\ndef test_a(particle_board): raise RuntimeError"
    result = run(text, bench=bench)
    assert result.ret == NOT_RUN


def test_a_board_without_permission_is_not_even_looked_at(run):
    """Slot A is empty: whoever looked would say so."""
    bench = two(test="[test]").replace('name = "A"', f'name = "A"\nconnected = false\ndevice_id = "{BORON}"')
    text = """
        import pytest
        @pytest.mark.may_erase
        @pytest.mark.particle_each_board
        @pytest.mark.particle_platform("boron")
        def test_a(particle_board): raise RuntimeError
    """
    result = run(text, bench=bench)
    assert result.ret == NOT_RUN
    said = " ".join(result.stdout.str().split())
    assert f"slot A: {BORON} is not in may_erase of the bench file" in said


def test_each_board(run):
    result = run(
        "import pytest\n@pytest.mark.particle_each_board\ndef test_a(particle_board): print(particle_board)",
        "-v",
        bench=two(),
    )
    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(["*test_a?boron-A? PASSED*", "*test_a?photon-B? PASSED*"])


def test_each_board_of_a_platform_that_is_not_there(run):
    text = """
        import pytest
        @pytest.mark.particle_platform("p2")
        @pytest.mark.particle_each_board
        def test_a(particle_board): pass
    """
    assert run(text, bench=two()).ret == NOT_RUN


def test_all_boards_at_once(run):
    text = """
        def test_a(particle_boards):
            ids = set()
            for board in particle_boards:
                with board.control() as session:
                    ids.add(session.device_id())
            assert ids == {board.device_id for board in particle_boards} and len(ids) == 2
    """
    assert run(text, bench=two()).ret == 0


def test_a_blank_board_is_reached_by_its_probe(run):
    """Nothing of it is on USB: its platform comes from the bench file, its Device ID from the chip."""
    bench = """
        [bench]
        driver = "virtual"
        [[slot]]
        name = "A"
        platform = "boron"
        blank = true
        probe = true
    """
    text = """
        import pytest
        from particle_dev.device.swd import swd_session
        @pytest.mark.particle_link("swd")
        def test_a(particle_board):
            assert (particle_board.device_id, particle_board.device_os) == ("", None)
            assert not particle_board.is_there()
            with swd_session(particle_board.slot.probe_id, particle_board.platform) as session:
                assert session.identity().device_id.startswith("e00fce68")
        def test_b(particle_board): pass
    """
    run(text, bench=textwrap.dedent(bench)).assert_outcomes(passed=1, errors=1)


def test_a_skip_of_ones_own_is_no_pass_either(run):
    assert run("import pytest\ndef test_a(particle_board): pytest.skip('not today')").ret == NOT_RUN


def test_a_failure_stays_a_failure(run):
    text = "import pytest\ndef test_a(particle_board): pytest.skip('x')\ndef test_b(particle_board): assert 0"
    assert run(text).ret == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("@pytest.mark.particle_link('wifi')\ndef test_a(particle_board): pass", "links are usb, serial, swd"),
        ("@pytest.mark.particle_device_os('3')\ndef test_a(particle_board): pass", "a condition is such as '>=3.0.0'"),
        ("def test_a(particle_board, particle_boards): pass", "not both"),
    ],
)
def test_what_means_nothing_is_said(run, text, message):
    result = run(f"import pytest\n{text}")
    assert result.ret == 1
    assert message in result.stdout.str() + result.stderr.str()


@pytest.mark.parametrize("bench", ["usb", "nothing", "none.toml"])
def test_a_bench_that_cannot_be_used_fails(run, bench):
    """Before anything is begun, by one sentence."""
    result = run(NAME, "--bench", bench)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    said = result.stdout.str() + result.stderr.str()
    assert said.count("ERROR: ") == 1
    assert "Traceback" not in said


def test_a_bench_of_the_ini_file_that_cannot_be_used_ends_only_runs_on_boards(run, pytester):
    pytester.makeini("[pytest]\nparticle_bench = usb\n")
    assert run(NAME).ret == pytest.ExitCode.USAGE_ERROR
    assert run("def test_a(): pass").ret == 0


def test_tests_take_no_board_that_happens_to_be_plugged_in():
    with pytest.raises(ConfigError, match="happens to be plugged in"):
        HilBench("usb")


# ---- between tests and runs -----------------------------------------------------------------------------------------


def test_virtual_boards_are_new_for_each_test(run):
    text = """
        import pytest
        @pytest.mark.parametrize("n", [1, 2])
        def test_a(particle_board, n):
            assert particle_board.device().mode == "normal"
            particle_board.in_dfu_mode()
    """
    assert run(text).ret == 0


def test_boards_that_stay_are_leased_and_given_back(tmp_path):
    path = tmp_path / "bench.toml"
    path.write_text(two(state='state_dir = "boards"'))
    bench = HilBench(str(path), lease_timeout_s=0)
    with_a = bench.take(Wanted())
    assert with_a.boards[0].name == "A"
    with_b = bench.take(Wanted())
    assert with_b.boards[0].name == "B"
    with pytest.raises(BenchError, match=r"no board for 0 s: slot A: another .* \(process \d+, pytest, "):
        bench.take(Wanted())
    with_a.give_back()
    assert bench.take(Wanted()).boards[0].name == "A"
    with_b.give_back()
    bench.close()


@pytest.mark.parametrize("folder", ["nowhere", "empty"])
def test_firmware_that_is_not_there_is_no_reason_to_test_stand_ins(run, pytester, folder):
    (pytester.path / "empty").mkdir()
    result = run(NAME, f"--particle-firmware={folder}")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"*--particle-firmware {folder}: no module files*"])


@pytest.mark.parametrize(
    "module",
    [b"\x55" * 300, app_stand_in(hardware("boron"), 2101), bootloader_stand_in(hardware("argon"), 1000)],
    ids=["no module", "an application", "another board's"],
)
@pytest.mark.parametrize("state", ["", 'state_dir = "boards"'])
def test_firmware_for_no_board_of_the_bench_is_none(run, pytester, module, state):
    (pytester.path / "firmware").mkdir()
    (pytester.path / "firmware" / "a.bin").write_bytes(module)
    bench = f'[bench]\ndriver = "virtual"\n{state}\n[[slot]]\nname = "A"\nplatform = "boron"\n'
    result = run(NAME, "--particle-firmware=firmware", bench=bench)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*no file [*].bin there is a bootloader or SoftDevice of boron; boards would*"])
    (pytester.path / "firmware" / "deep").mkdir()
    (pytester.path / "firmware" / "deep" / "b.bin").write_bytes(bootloader_stand_in(hardware("boron"), 1005))
    run(NAME, "--particle-firmware=firmware", bench=bench).assert_outcomes(passed=1)


@pytest.mark.parametrize("words", [[], ["--particle-firmware=firmware"]])
def test_emulated_boards_run_no_stand_ins(run, pytester, monkeypatch, words):
    monkeypatch.delenv("PARTICLE_DEV_FIRMWARE_DIR", raising=False)
    monkeypatch.setenv("PARTICLE_DEV_STORE", str(pytester.path / "none"))
    (pytester.path / "firmware").mkdir()
    (pytester.path / "firmware" / "a.bin").write_bytes(bootloader_stand_in(hardware("argon"), 1000))
    bench = '[bench]\ndriver = "emulated"\n[[slot]]\nname = "A"\nplatform = "boron"\n'
    result = run(NAME, *words, bench=bench)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*emulated boards run firmware images of yours, and no folder*"])


def test_all_boards_or_none(tmp_path):
    path = tmp_path / "bench.toml"
    path.write_text(two(state='state_dir = "boards"'))
    bench = HilBench(str(path), lease_timeout_s=0)
    other = bench.take(Wanted(), only="B")
    with pytest.raises(BenchError, match="slot B: another run or command works"):
        bench.take(Wanted(), every=True)
    assert bench.take(Wanted()).boards[0].name == "A", "A was given back"
    other.give_back()
    bench.close()


def test_a_test_and_a_station_never_have_one_board(tmp_path):
    """A slot of a real bench whose board nothing is asked of, so none need be there."""
    path = tmp_path / "bench.toml"
    path.write_text(
        f'[bench]\ndriver = "usb"\n[[slot]]\nname = "1"\nport = "1-2"\nprobe = "A1"\nplatform = "boron"\n'
        f'device_id = "{BORON}"\n'
    )
    wanted = Wanted(links=frozenset({"swd"}))
    bench, station = HilBench(str(path), lease_timeout_s=0), open_bench("usb", slots=[{"name": "X", "port": "1-2"}])
    with (
        Leases(station.slots, "run in there"),
        pytest.raises(BenchError, match=rf"slot 1: another .* works on 1-2 \(process {os.getpid()}, run in there\)"),
    ):
        bench.take(wanted)
    taken = bench.take(wanted)
    with pytest.raises(SlotBusyError, match=r"slot X: .* works on 1-2 \(process \d+, pytest, .*never_have_one_board"):
        Leases(station.slots, "a station")
    with Leases([taken.boards[0].slot], "a station that the test itself runs"):
        pass
    taken.give_back()
    with Leases(station.slots, "a station"):
        pass
    bench.close()


def test_workers_share_boards(run):
    """Three workers, two boards that stay: each test has a board of its own while it runs."""
    text = """
        import pytest, time
        @pytest.mark.parametrize("n", range(6))
        def test_a(particle_board, n, request):
            with particle_board.control() as session:
                assert session.device_id() == particle_board.device_id
    """
    result = run(text, "-n", "3", bench=two())
    result.assert_outcomes(passed=6)
    result.stdout.fnmatch_lines(["6 passed on virtual boards*"])


def test_auto_is_a_worker_for_each_board(run):
    result = run("def test_a(particle_board): pass", "-n", "auto", "-v", bench=two())
    result.stdout.fnmatch_lines(["*2 workers*"])


def test_what_workers_did_not_run_is_no_pass(run):
    text = "import pytest\n@pytest.mark.may_erase\ndef test_a(particle_board): pass"
    assert run(text, "-n", "1", bench=two(test="[test]")).ret == NOT_RUN


def test_another_board_than_the_file_says_is_the_benchs_fault(tmp_path):
    """A virtual board that comes back with another Device ID."""
    path = tmp_path / "bench.toml"
    path.write_text(two(state='state_dir = "boards"').replace('name = "A"', f'name = "A"\ndevice_id = "{BORON}"'))
    bench = HilBench(str(path))
    taken = bench.take(Wanted(), only="A")
    taken.boards[0].virtual.state.device_id = "e00fce68" + "2" * 16
    taken.boards[0].power.off()
    taken.boards[0].power.on()
    taken.boards[0].device()
    taken.give_back()
    with pytest.raises(WrongDeviceError, match="the bench file says"):
        bench.take(Wanted(), only="A")
    bench.close()


def test_boards_are_given_back_when_another_one_cannot_be_opened(tmp_path, monkeypatch):
    """Otherwise the next test would wait for this very run, as long as --particle-lease-timeout says."""

    def refuse(backend, device):
        if device.board.port_path == "1-2" and refused:
            raise usb.core.USBError("Access denied (insufficient permissions)", -3, errno.EACCES)
        return open_device(backend, device)

    open_device, refused = VirtualBackend.open_device, [True]
    monkeypatch.setattr(VirtualBackend, "open_device", refuse)
    path = tmp_path / "bench.toml"
    path.write_text(two(state='state_dir = "boards"'))
    bench = HilBench(str(path), lease_timeout_s=0)
    with pytest.raises(LinkAccessError) as error:
        bench.take(Wanted(), every=True)
    refused.clear()
    assert error.value, "a report keeps it, and all that it refers to"
    bench.take(Wanted(), every=True).give_back()
    bench.close()


# ---- reports --------------------------------------------------------------------------------------------------------

FAILING = """
    from particle_dev.errors import BenchError, VerifyError
    def test_product(particle_board):
        raise VerifyError("differs", address=1, expected=2, actual=3, hint="flash again")
    def test_bench(particle_board):
        raise BenchError("no", hint="look")
    def test_assertion(particle_board):
        particle_board.log.add("I was here")
        assert particle_board.name == "Z"
    def test_pass(particle_board):
        pass
"""


def test_junit_has_code_and_class(run, pytester):
    run(FAILING, "--junitxml=out.xml", bench=two()).assert_outcomes(failed=3, passed=1)
    found = properties(pytester.path / "out.xml")
    assert {name: (p.get("particle_error_code"), p.get("particle_class")) for name, p in found.items()} == {
        "test_product": ("verify_error", "product"),
        "test_bench": ("bench_error", "infrastructure"),
        "test_assertion": ("assertion_error", "product"),
        "test_pass": (None, None),
    }
    assert found["test_product"]["particle_hint"] == "flash again"
    assert found["test_pass"]["particle_board"] == f"A boron {BORON}"
    assert {p["particle_virtual"] for p in found.values()} == {"yes"}


def test_a_slot_without_its_board_is_an_error_of_the_bench(run, pytester):
    bench = two().replace('platform = "boron"', 'platform = "boron"\nconnected = false')
    text = "import pytest\n@pytest.mark.particle_platform('boron')\ndef test_a(particle_board): pass"
    result = run(text, "--junitxml=out.xml", bench=bench)
    result.assert_outcomes(errors=1)
    found = properties(pytester.path / "out.xml")["test_a"]
    assert (found["particle_error_code"], found["particle_class"]) == ("device_not_found_error", "infrastructure")


MANY = """
    import pytest
    @pytest.mark.particle_platform("boron")
    @pytest.mark.parametrize("n", range(20))
    def test_boron(particle_board, n): pass
    @pytest.mark.particle_platform("p2")
    @pytest.mark.parametrize("n", range(20))
    def test_p2(particle_board, n): pass
    def test_own(): assert 0, "my own"
"""


@pytest.mark.parametrize("workers", [(), ("-n", "1")])
def test_each_cause_is_said_once_with_its_code_and_without_traceback(run, monkeypatch, workers):
    monkeypatch.setenv("COLUMNS", "80")
    bench = two().replace('platform = "boron"', 'platform = "boron"\nconnected = false')
    result = run(MANY, "-rA", *workers, bench=bench)
    result.assert_outcomes(errors=20, skipped=20, failed=1)
    said = result.stdout.str()
    assert said.count("device_not_found_error (infrastructure): slot A: nothing is at port") == 1
    assert said.count("not p2") == 2  # one cause, two slots
    assert "ERROR at setup" not in said
    assert "particle_harness/hil/bench.py" not in said
    assert said.count("(20)") == 2
    assert "20 tests were ended by an error of the bench (exit status 1):" in said
    assert "my own" in said
    section = said.partition("= Particle boards =")[2].partition("\n=")[0]
    assert max(map(len, section.splitlines()[1:])) <= 80


def test_with_v_each_test_of_a_cause_has_its_line(run):
    bench = two().replace('platform = "boron"', 'platform = "boron"\nconnected = false')
    said = run(MANY, "-v", bench=bench).stdout.str().partition("= Particle boards =")[2]
    assert said.count("::test_boron[") == 20
    assert said.count("::test_p2[") == 20


def test_a_failure_of_the_product_keeps_its_traceback_and_says_its_code(run, monkeypatch):
    monkeypatch.setenv("COLUMNS", "160")
    said = run(FAILING, "-k", "product", bench=two()).stdout.str()
    assert "raise VerifyError" in said
    assert "test_product - verify_error (product): differs" in said


def test_a_failure_shows_the_log_of_its_board(run):
    result = run(FAILING, "-k", "assertion", bench=two())
    result.stdout.fnmatch_lines(
        ["*log of board A*", f"*Z     +*0.000 s  taken: Boron {BORON}, Device OS *", "*s  I was here"]
    )


def test_logs_as_files_with_transfers(run, pytester):
    run(NAME, "--particle-logs=logs", bench=two())
    text = (pytester.path / "logs" / "A.log").read_text()
    assert logging.getLogger("particle_dev.traffic").propagate
    assert "particle_dev.traffic" in text
    assert text.splitlines()[0].endswith("not running") or "taken: Boron" in text.splitlines()[0]


# ---- faults and cloud -----------------------------------------------------------------------------------------------


def test_faults(run):
    text = """
        import pytest
        from particle_dev.errors import LinkDisconnectedError
        def test_a(particle_board, particle_faults):
            particle_faults.add("unplug", "control_transfer", n=2)
            with pytest.raises(LinkDisconnectedError), particle_board.control() as session:
                session.device_id()
            assert not particle_board.is_there()
        @pytest.mark.particle_power
        def test_b(particle_board, particle_faults):
            particle_faults.lose_power()
            assert not particle_board.is_there()
            with pytest.raises(Exception, match="may_connect|online"):
                particle_faults.give_power()
        def test_c(particle_board, particle_faults):
            with pytest.raises(ValueError):
                particle_faults.add("explode", "noon")
    """
    run(text).assert_outcomes(passed=3)


def test_cloud_is_one_that_the_boards_reach(run):
    text = """
        import pytest
        from particle_dev.cloud.products import product
        @pytest.mark.may_connect
        @pytest.mark.particle_platform("boron")
        def test_a(particle_board, particle_cloud):
            assert particle_cloud.is_virtual
            ours = particle_cloud.product("boron")
            assert product(particle_cloud.api, str(ours)).id == ours
            assert not particle_cloud.ledger.metered(particle_board.device_id)
    """
    run(text).assert_outcomes(passed=1)


# ---- device tests ---------------------------------------------------------------------------------------------------

DEVICE_TESTS = """
[device-tests]
stays_offline = true
{keys}
"""


def device_bench(program):
    return f"""
[bench]
driver = "virtual"
[[slot]]
name = "A"
platform = "boron"
application = ["program:{program} --requests"]
"""


@pytest.fixture
def program(selftest_ports):
    return selftest_ports / "selftest_host"


def test_device_tests_are_asked_of_the_board_and_run_on_it(run, pytester, program):
    """Its application is the C service of firmware/selftest, which speaks the commands of device-os-test-runner."""
    (pytester.path / "app.device-tests.toml").write_text(DEVICE_TESTS.format(keys=""))
    result = run(None, "-v", "--junitxml=out.xml", bench=device_bench(program))
    result.stdout.fnmatch_lines(["*::gpio PASSED*", "*::modules SKIPPED*", "*::ram PASSED*"])
    assert result.ret == NOT_RUN
    found = properties(pytester.path / "out.xml")
    assert "not_supported" in found["modules"]["particle_not_run"]
    assert found["gpio"]["particle_virtual"] == "yes"


def test_a_device_test_that_fails_shows_its_log(run, pytester, program):
    (pytester.path / "app.device-tests.toml").write_text(DEVICE_TESTS.format(keys='tests = ["gpio"]'))
    bench = device_bench(f"{program} --faults {int(Defect.GPIO_OPEN)}")
    result = run(None, "--junitxml=out.xml", bench=bench)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["device test gpio failed on the board:", "gpio: failed *"])
    found = properties(pytester.path / "out.xml")["gpio"]
    assert (found["particle_error_code"], found["particle_class"]) == ("device_test_failed", "product")


def test_device_tests_by_name(run, pytester, program):
    (pytester.path / "app.device-tests.toml").write_text(DEVICE_TESTS.format(keys='tests = ["gpio"]'))
    result = run(None, bench=device_bench(program))
    result.assert_outcomes(passed=1)
    assert result.ret == 0


def test_the_application_of_device_tests_is_flashed_where_another_is(run, pytester, program):
    """Its bytes, proven by the flash way; what answers is the program of the virtual board either way."""
    kind = hardware("boron")
    (pytester.path / "app.bin").write_bytes(app_stand_in(kind, 5802, version=7, linked_for=5802))
    keys = 'tests = ["gpio", "ram"]\napp = "app.bin"'
    (pytester.path / "app.device-tests.toml").write_text(DEVICE_TESTS.format(keys=keys))
    state = 'driver = "virtual"\nstate_dir = "boards"'
    # From Device OS 5.6.0 on a running board tells the hashes of its modules.
    bench = device_bench(program).replace('driver = "virtual"', state) + 'device_os = "5.8.2"\n'
    result = run(None, "--particle-logs=logs", bench=bench)
    result.assert_outcomes(passed=2)
    lines = [x for x in (pytester.path / "logs" / "A.log").read_text().splitlines() if "app.bin: " in x]
    assert ["flash" in line for line in lines] == [True, False]
    assert lines[1].endswith("it is there")


def test_device_tests_that_flash_need_a_board_that_may_be_erased(run, pytester, program):
    keys = 'tests = ["gpio"]\napp = "app.bin"'
    (pytester.path / "app.device-tests.toml").write_text(DEVICE_TESTS.format(keys=keys))
    assert run(None, bench=device_bench(program) + "[test]\n").ret == NOT_RUN


def test_an_application_that_has_lost_its_tests_is_an_error_beside_others(run, pytester, program, monkeypatch):
    (pytester.path / "app.device-tests.toml").write_text(DEVICE_TESTS.format(keys=""))
    monkeypatch.setattr(DeviceTestSession, "names", lambda self: ())
    result = run("def test_a(): pass", bench=device_bench(program))
    result.stdout.fnmatch_lines(["*has no device test: build it with them*"])
    assert result.ret == pytest.ExitCode.INTERRUPTED


def test_device_tests_of_a_board_without_such_an_application(run, pytester):
    (pytester.path / "app.device-tests.toml").write_text(DEVICE_TESTS.format(keys='tests = ["gpio"]'))
    result = run(None, bench=two())
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*its application has no device tests*"])


def test_device_tests_that_may_connect_need_a_board_that_may(run, pytester, program):
    (pytester.path / "app.device-tests.toml").write_text("[device-tests]\n")
    result = run(None, bench=device_bench(program) + "[test]\n")
    result.assert_outcomes(skipped=1)
    assert result.ret == NOT_RUN


@pytest.mark.parametrize(
    ("keys", "word"),
    [
        ('system_mode = "loud"', "no system mode 'loud'"),
        ("tests = 3", "tests must be a list"),
        ("system_thread = 1", "system_thread must be true or false"),
        ("oops = 1", "unknown key 'oops'"),
        ("timeout_s = 0", "timeout_s must be a number"),
        ('app = "a.bin"', "app without tests"),
    ],
)
def test_bad_files_of_device_tests(run, pytester, keys, word):
    (pytester.path / "app.device-tests.toml").write_text(DEVICE_TESTS.format(keys=keys))
    result = run(None, bench=two())
    assert result.ret == 2
    result.stdout.fnmatch_lines([f"*{word}*"])


# ---- hil/ -----------------------------------------------------------------------------------------------------------


def test_a_real_bench_without_a_profile_has_no_cloud_to_ask():
    with particle_cloud(TestRules()) as cloud, pytest.raises(ConfigError, match="names no profile"):
        _ = cloud.api
    assert not cloud.is_virtual


EXAMPLE = Path(__file__).parents[2] / "hil" / "bench.example.toml"


def test_the_example_of_a_real_bench_allows_nothing():
    """Who corrects only its Device IDs has not granted anything."""
    bench = HilBench(str(EXAMPLE))
    assert [bench.permissions(place.device_id or "") for place in bench.places] == [NOTHING] * 4


def test_the_example_of_a_real_bench_with_its_commented_lists(tmp_path):
    lines = EXAMPLE.read_text().splitlines()
    stated = [line for line in lines if not line.startswith(("may_erase", "may_connect"))]
    path = tmp_path / "bench.toml"
    path.write_text("\n".join(line.removeprefix("# ") if line.startswith("# may_") else line for line in stated))
    bench = HilBench(str(path))
    assert [place.name for place in bench.places] == ["A", "B", "C", "D"]
    ids = {place.name: place.device_id for place in bench.places}
    allowed = {name: bench.permissions(device_id) for name, device_id in ids.items()}
    assert [name for name, p in allowed.items() if p.may_erase] == ["A", "B", "D"]
    assert [name for name, p in allowed.items() if p.may_connect] == ["A"]
    assert not bench.is_virtual
    assert bench.permissions("") == NOTHING
