"""What the labgrid bench says without labgrid. With a real coordinator and exporters: tests/judges/labgrid."""

import pytest
from particle_harness.selftest_boards import host_board

from particle_dev.cli.main import main
from particle_dev.errors import BenchError, ConfigError
from particle_dev.station import bench as benches
from particle_dev.station.bench import open_bench
from particle_dev.station.bench_file import read_bench
from particle_dev.station.labgrid_bench import LabgridBench, LabgridSlot, probe_id, serial_url


def test_the_bench_of_one_place_has_no_file():
    bench = read_bench("labgrid:boron-1")
    assert (bench.driver, bench.slots) == ("labgrid", ({"name": "boron-1"},))
    assert read_bench("usb").slots == ()


def test_without_labgrid_it_says_what_to_install():
    with pytest.raises(BenchError, match="labgrid is not installed") as error:
        open_bench("labgrid", slots=[{"name": "boron-1"}])
    assert "particle-dev[labgrid]" in error.value.hint


@pytest.mark.parametrize(
    ("options", "slots", "words"),
    [
        ({"server": "x"}, [{"name": "1"}], "no option 'server'"),
        ({"coordinator": 5}, [{"name": "1"}], "coordinator = 5 is no text"),
        ({"reacquire_s": "soon"}, [{"name": "1"}], "reacquire_s = 'soon' is no number of seconds"),
        ({"reacquire_s": 10**400}, [{"name": "1"}], "is no number of seconds"),
        ({}, [], "no place is named"),
        ({}, [{"name": "1", "port": "1-2"}], "unknown key 'port'"),
    ],
)
def test_bench_files_that_mean_nothing(options, slots, words):
    with pytest.raises(ConfigError, match=words):
        open_bench("labgrid", options=options, slots=slots)


def test_what_exporters_offer():
    assert serial_url("NetworkSerialPort", {"host": "h", "port": 4, "protocol": "raw"}) == "socket://h:4"
    assert serial_url("NetworkSerialPort", {"host": "h", "port": 4}) == "rfc2217://h:4"
    assert serial_url("NetworkService", {"address": "h"}) is None
    assert probe_id("ParticleProbe", {"host": "h", "port": 4}) == "remote:h:4"
    assert probe_id("NetworkSerialPort", {"host": "h", "port": 4}) is None
    for parameters in ({"host": "h", "port": None}, {"host": "h", "port": 4, "protocol": "telnet"}):
        with pytest.raises(BenchError, match="protocol"):
            serial_url("NetworkSerialPort", parameters)


class Lease:
    """Stands where labgrid's would: it counts how often it is given back."""

    closed = 0

    def require(self):
        pass

    def close(self):
        self.closed += 1


@pytest.fixture
def farm(monkeypatch):
    """The command line's bench, with these slots in the place of labgrid's."""

    def made(*slots):
        lease = Lease()

        class Entry:
            name = "labgrid"

            def load(self):
                return lambda **_: LabgridBench(lease, slots)

        monkeypatch.setattr(benches, "entry_points", lambda **_: [Entry()])
        return lease

    return made


def slot(name, **values):
    return LabgridSlot(name, f"labgrid:{name}", **{"serial_url": None, "probe_id": None, "platform": None} | values)


def run(capsys, *arguments):
    with pytest.raises(SystemExit) as end:
        main([str(a) for a in arguments])
    out, err = capsys.readouterr()
    return end.value.code or 0, out, err


def test_self_test_over_a_line_of_the_bench(farm, capsys, selftest_ports):
    with host_board(selftest_ports) as url:
        lease = farm(slot("one", serial_url=url), slot("two", probe_id="remote:h:1"))
        status, out, err = run(capsys, "selftest", "list", "--bench", "labgrid:x")
        assert (status, "adc" in out) == (0, True), err
        assert lease.closed == 1
        farm(slot("one", serial_url=url), slot("two", serial_url=url))
        status, _, err = run(capsys, "selftest", "list", "--bench", "labgrid:x")
        assert (status, "--device slot:one" in err) == (4, True)
        assert run(capsys, "selftest", "list", "--bench", "labgrid:x", "--device", "slot:two")[0] == 0
        lease = farm(slot("one", serial_url=url))
        assert run(capsys, "selftest", "list", "--bench", "labgrid:x", "--device", "slot:two")[0] == 4
        assert lease.closed == 1


def test_the_probe_of_a_bench(farm, capsys):
    lease = farm(slot("one", serial_url="socket://127.0.0.1:9"))
    status, _, err = run(capsys, "swd", "id", "--bench", "labgrid:x")
    assert (status, "no such probe" in err, lease.closed) == (4, True, 1)
    farm(slot("one", probe_id="remote:127.0.0.1:9"), slot("two", probe_id="remote:127.0.0.1:10"))
    status, _, err = run(capsys, "swd", "id", "--bench", "labgrid:x")
    assert (status, "--probe remote:127.0.0.1:10" in err) == (4, True)


def test_no_usb_is_there(farm, capsys):
    farm(slot("one", serial_url="socket://127.0.0.1:9"))
    assert run(capsys, "list", "--bench", "labgrid:x", "--json")[:2] == (0, "")


def test_a_probe_of_a_virtual_bench_too(capsys, tmp_path):
    bench = tmp_path / "bench.toml"
    bench.write_text(
        '[bench]\ndriver = "virtual"\n[bench.options]\ndelays = "none"\n'
        '[[slot]]\nname = "1"\nplatform = "boron"\nblank = true\nprobe = true\n'
    )
    status, out, err = run(capsys, "swd", "id", "--bench", bench, "--platform", "boron")
    assert (status, "boron" in out.lower()) == (0, True), err
