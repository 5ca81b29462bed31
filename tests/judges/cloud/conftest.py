"""Unmodified particle-cli and particle-api-js at a simulated cloud on loopback. `make judges` brings them; a missing
one is an error."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from particle_harness.cloud import SimCloud
from particle_harness.cloud.clock import MovableClock

CLI_TIMEOUT_S = 60


@pytest.fixture(scope="session")
def judges():
    """The folder that `make judges-setup` fills."""
    folder = Path(os.environ.get("PARTICLE_DEV_JUDGES", "missing"))
    if shutil.which("node") is None or not all((folder / name).exists() for name in (".ready", "cloud/.ready")):
        pytest.fail("run these tests by `make judges`, or set PARTICLE_DEV_JUDGES to what `make judges-setup` made")
    return folder


class Site:
    """A served cloud with an account and a product; particle-cli with a home of its own, logged out."""

    def __init__(self, cloud, server, home, judges):
        self.cloud, self.server, self.home, self._judges = cloud, server, home, judges
        self.owner = cloud.population.add_account("me@example.com", "password", plan="basic")
        self.product = cloud.population.add_product("Sensors", "argon", self.owner)
        self.token = cloud.population.make_token(self.owner)
        settings = home / ".particle"
        settings.mkdir()
        (settings / "profile.json").write_text('{"name": "sim"}')
        self._config = settings / "sim.config.json"
        self._config.write_text(json.dumps({"apiUrl": server.url}))
        # Proxies of this machine must not see loopback requests; particle-cli heeds no NO_PROXY.
        self._env = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
        self._env |= {"HOME": str(home), "PARTICLE_DISABLE_UPDATE": "1"}

    @property
    def config(self):
        return json.loads(self._config.read_text())

    def log_in(self):
        self._config.write_text(json.dumps({"apiUrl": self.server.url, "access_token": self.token}))

    def argv(self, *arguments):
        program = self._judges / "node" / "node_modules" / "particle-cli" / "src" / "index.js"
        return ["node", str(program), *map(str, arguments)]

    def start(self, *arguments):
        pipe = subprocess.PIPE
        return subprocess.Popen(self.argv(*arguments), env=self._env, stdout=pipe, stderr=subprocess.STDOUT, text=True)

    def cli(self, *arguments, code=0):
        """What particle-cli prints on both channels; it must end with ``code``, None: any."""
        run = subprocess.run(
            self.argv(*arguments),
            env=self._env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=CLI_TIMEOUT_S,
            check=False,
        )
        text = run.stdout + run.stderr
        assert code in (None, run.returncode), f"{arguments}: {run.returncode}\n{text}"
        return text

    def api_js(self, major, job, **context):
        """The results of a job of ``api_js_jobs.js``, by what it calls."""
        place = self._judges / ("cloud" if major == 12 else "node") / "node_modules" / "particle-api-js"
        assert json.loads((place / "package.json").read_text())["version"].startswith(f"{major}.")
        context |= {"baseUrl": self.server.url, "token": self.token, "product": self.product.id}
        run = subprocess.run(
            ["node", str(Path(__file__).with_name("api_js_jobs.js")), str(place), job, json.dumps(context)],
            env=self._env,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert run.returncode == 0, run.stdout[-3000:] + run.stderr[-3000:]
        return json.loads(run.stdout)


@pytest.fixture
def site(judges, tmp_path):
    cloud = SimCloud(MovableClock())
    with cloud.serve() as server:
        yield Site(cloud, server, tmp_path, judges)
    cloud.close()
