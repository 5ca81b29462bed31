"""What a new user tries: the README's simulated cloud, with every program a process of its own.

particle-cli logs in, unmodified; particle-dev imports an order of 200 boards, runs a station with strategy C on some
and with strategy A on others. The ledger of the cloud, which no product code can read, tells who is metered. Boards,
bench and cloud are our own models; the two stations run at the same time, since they mostly wait.
"""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

PARTICLE_DEV = str(Path(sys.executable).with_name("particle-dev"))
BOARDS = 200
IDS = [f"e00fce68{n << 16:016x}" for n in range(1, BOARDS + 1)]
SLOTS = {"C": IDS[:3], "A": IDS[3:5]}
RECIPE = """[recipe]
name = "strategy {strategy}"
finish = "dfu"
strategy = "{strategy}"
[cloud]
product = {product}
plan = "basic"
[firmware.boron]
device_os = "2.1.0"
app = "tinker-0.8.0-rc.27-boron.bin"
"""
SLOT = """[[slot]]
name = "{name}"
platform = "boron"
device_id = "{device_id}"
arrives_in = "dfu"
factory = "{factory}"
"""


class NewUser:
    """A home, a folder, and the programs that run there."""

    def __init__(self, folder, judges):
        self.folder = folder
        self.judges = judges
        self.environment = {n: v for n, v in os.environ.items() if not n.lower().endswith("_proxy")}
        self.environment |= {"HOME": str(folder), "PARTICLE_DISABLE_UPDATE": "1"}
        for name in ("XDG_DATA_HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "PARTICLE_DEV_STORE", "PARTICLE_DEV_SITE"):
            self.environment.pop(name, None)

    def start(self, *command):
        pipe = subprocess.PIPE
        return subprocess.Popen(
            [str(word) for word in command], cwd=self.folder, env=self.environment, stdout=pipe, stderr=pipe, text=True
        )

    def run(self, *command, code=0):
        return self.finish(self.start(*command), code)

    @staticmethod
    def finish(program, code=0):
        """What a program printed; it must end with ``code``."""
        output, errors = program.communicate(timeout=360)
        assert program.returncode == code, f"{program.args}: {program.returncode}\n{output}\n{errors}"
        return output

    def particle(self, *arguments):
        program = self.judges / "node" / "node_modules" / "particle-cli" / "src" / "index.js"
        return self.run("node", program, *arguments)

    def write_line(self, strategy, product, link):
        """Recipe and bench of a strategy. Boards of strategy A are set up, as a test line has to leave them."""
        (self.folder / f"{strategy}.toml").write_text(RECIPE.format(strategy=strategy, product=product))
        factory = "online" if strategy == "A" else "new"
        slots = [SLOT.format(name=n, device_id=d, factory=factory) for n, d in enumerate(SLOTS[strategy], 1)]
        bench = f'[bench]\ndriver = "virtual"\n[bench.options]\ndelays = "none"\ncloud = "{link}"\n'
        (self.folder / f"bench-{strategy}.toml").write_text(bench + "".join(slots))

    def start_station(self, strategy, *options):
        recipe, bench = f"{strategy}.toml", f"bench-{strategy}.toml"
        files = ("--recipe", recipe, "--bench", bench, "--out", f"run-{strategy}")
        return self.start(PARTICLE_DEV, "station", "run", *files, *options)

    def verdicts(self, strategy):
        """Of each unit of a finished run: pass or fail, billing in the window, billing ever."""
        report = json.loads(self.run(PARTICLE_DEV, "report", f"run-{strategy}", "--json"))
        return {
            unit["device_id"]: (unit["verdict"], unit["billing"]["verdict"], unit["gate"]["verdict"])
            for unit in report["units"]
        }

    def metered(self, link):
        """Devices whose metering has begun, by the ledger."""
        entries = map(json.loads, self.run(PARTICLE_DEV, "sim", "ledger", "--link", link, "--json").splitlines())
        return {e["device_id"] for e in entries if e["event"] in ("first connection", "metering started")}


@pytest.fixture
def user(tmp_path, judges):
    return NewUser(tmp_path, judges)


@pytest.fixture
def cloud(user):
    """`particle-dev sim cloud`, with the boards that Particle has made for the order."""
    (user.folder / "order.txt").write_text("Device ID\r\n" + "\r\n".join(IDS).upper() + "\r\n")
    serving = user.start(
        PARTICLE_DEV, "sim", "cloud", "--port", "0", "--product", "boron", "--made", "boron:order.txt", "--json"
    )
    try:
        line = serving.stdout.readline()
        assert line, serving.stderr.read()
        yield json.loads(line)
    finally:
        serving.terminate()
        serving.communicate()


@pytest.mark.firmware
@pytest.mark.timeout(400)
def test_from_the_order_to_tested_boards(user, cloud, particle_cli_firmware):
    product, link = cloud["products"][0]["id"], cloud["link"]
    user.particle("config", "sim")
    user.particle("config", "set", "apiUrl", cloud["url"])
    user.particle("login", "--username", cloud["user"], "--password", cloud["password"])

    order = (PARTICLE_DEV, "cloud", "import", "order.txt", "--product", product, "--plan", "basic")
    assert "to add    200" in user.run(*order, "--dry-run")
    user.run(*order, code=5)
    assert json.loads(user.run(*order, "--may-bill", "--json"))["result"]["verdict"] == "done"
    assert f"{BOARDS} active" in user.run(*order)
    pages = [("--page", page, "--limit", BOARDS // 2) for page in (1, 2)]
    listed = [json.loads(user.particle("product", "device", "list", product, *page, "--json")) for page in pages]
    assert {device["id"] for page in listed for device in page["data"]} == set(IDS)
    assert user.metered(link) == set()

    user.run(PARTICLE_DEV, "firmware", "add", particle_cli_firmware / "particle-cli-2.12.0" / "package" / "assets")
    for strategy in SLOTS:
        user.write_line(strategy, product, link)
    user.finish(user.start_station("A"), code=5)  # without consent
    assert user.metered(link) == set()
    dark, consented = user.start_station("C"), user.start_station("A", "--may-connect")
    user.finish(dark)
    user.finish(consented)
    assert user.verdicts("C") == dict.fromkeys(SLOTS["C"], ("pass", "not_started", "not_started"))
    assert user.verdicts("A") == dict.fromkeys(SLOTS["A"], ("pass", "started", "started"))
    assert user.metered(link) == set(SLOTS["A"])
    secrets = re.compile(f"{cloud['token']}|{cloud['link'].partition('#')[2]}")
    assert not any(secrets.search(f.read_text(errors="replace")) for f in user.folder.glob("run-*/*") if f.is_file())
