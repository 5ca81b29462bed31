"""The station's page in Debian's Chromium: real stations on virtual benches, each in a process of its own."""

import os
import queue
import re
import signal
import subprocess
import sys
import threading
import time
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Error, sync_playwright

from particle_dev.station.web.opening import PageSettings, StationPage

CHROMIUM = "/usr/bin/chromium"
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--autoplay-policy=no-user-gesture-required",
]
ROOT = Path(__file__).parents[3]
SCREENSHOTS = ROOT / "build" / "screenshots"
RECIPE = ROOT / "recipes" / "ship.toml"
START_S = 60
PATIENCE_MS = 60_000
"""Against hangs: nothing is held to a time."""
LOOPBACK = ("127.0.0.1", "127.0.0.2", "localhost", "::1")


@pytest.fixture(scope="session")
def axe():
    """The script of axe-core, which `make judges-setup` fetches."""
    folder = os.environ.get("PARTICLE_DEV_JUDGES")
    path = Path(folder or "/nowhere", "browser", "node_modules", "axe-core", "axe.min.js")
    if not path.exists():
        pytest.fail("run these tests by `make judges`, or set PARTICLE_DEV_JUDGES to what `make judges-setup` made")
    return path


@pytest.fixture(scope="session")
def chromium():
    """One browser for all tests; each visit has cookies and storage of its own."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


class Visit:
    """One person at one browser. ``requests``: all addresses that the browser asked for; ``problems``: what its console
    said."""

    def __init__(self, context):
        self.context = context
        self.page = context.new_page()
        self.page.set_default_timeout(PATIENCE_MS)
        self.requests = []
        self.problems = []
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("console", lambda m: self.problems.append(m.text) if m.type in ("error", "warning") else None)
        self.page.on("pageerror", lambda error: self.problems.append(str(error)))

    def foreign_requests(self):
        return [url for url in self.requests if urlsplit(url).hostname not in LOOPBACK and not url.startswith("data:")]

    def frames(self):
        """How often the stream of the page has brought something."""
        return int(self.page.evaluate("document.body.dataset.frames || 0"))

    def await_slots(self, count):
        """The page shows so many slots, with their states."""
        self.until(
            "(count) => document.querySelectorAll('[data-slot] .word').length === count"
            " && [...document.querySelectorAll('[data-slot] .word')].every((word) => word.textContent)"
            " && [...document.images].every((picture) => picture.hidden || picture.complete)",
            count,
        )

    def until(self, expression, argument=None):
        """Until this is true on the page. Asked from outside: the page's policy allows no evaluation within."""
        deadline_s = time.monotonic() + PATIENCE_MS / 1000
        while time.monotonic() < deadline_s:
            try:
                if value := self.page.evaluate(expression, argument):
                    return value
            except Error as error:
                if "context was destroyed" not in error.message:  # the page is being replaced
                    raise
            self.page.wait_for_timeout(50)
        raise AssertionError(f"never true: {expression}")

    def modes(self):
        """What slots do, by name."""
        return self.page.evaluate(
            "Object.fromEntries([...document.querySelectorAll('[data-slot]')]"
            ".map(node => [node.dataset.slot, node.dataset.mode]))"
        )

    def await_modes(self, **wanted):
        """Until slots, by ``s`` and their name, are in these modes."""
        for name, mode in wanted.items():
            self.page.wait_for_selector(f'[data-slot="{name.removeprefix("s")}"][data-mode="{mode}"]')

    def shot(self, name, **options):
        """A picture for people to look at."""
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=SCREENSHOTS / f"{name}.png", **options)


@pytest.fixture
def visit(chromium, particle_dev, shown):
    """Makes visits. At the end no request has left this machine, and no console has complained, but of
    ``may_complain``."""
    visits = []

    def make(address="", may_complain=None, width=1280, height=720, language="en-US", **options):
        context = chromium.new_context(viewport={"width": width, "height": height}, locale=language, **options)
        made = Visit(context)
        visits.append((made, may_complain))
        if address:
            made.page.goto(address)
        return made

    yield make
    for made, may_complain in visits:
        made.context.close()
        assert made.foreign_requests() == []
        bad = [p for p in made.problems if may_complain is None or not re.search(may_complain, p)]
        assert bad == []


class Process:
    """``particle-dev`` with a page. ``address`` is where."""

    def __init__(self, words, env):
        self.words = words
        self.lines = []
        self._queue = queue.Queue()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "particle_dev", *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            env=env,
            cwd=ROOT,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self.address = self._await_address()

    def _read(self):
        for line in self.process.stderr:
            self.lines.append(line)
            self._queue.put(line)
        self._queue.put(None)

    def _await_address(self):
        while (line := self._queue.get(timeout=START_S)) is not None:
            if found := re.search(r"https?://\S+", line):
                return found[0]
        raise AssertionError("".join(self.lines))

    def say(self, line):
        """Type a line into its standard input."""
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def kill(self):
        self.process.kill()
        self.process.wait()

    def close(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.kill()
        self._reader.join()
        self.process.stdin.close()
        self.process.stderr.close()


@pytest.fixture
def particle_dev(tmp_path):
    """Starts commands with a page; ends them."""
    env = os.environ | {"XDG_DATA_HOME": str(tmp_path / "data"), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    processes = []

    def start(*words, page=True):
        if not page:
            subprocess.run([sys.executable, "-m", "particle_dev", *map(str, words)], env=env, cwd=ROOT, check=True)
            return None
        process = Process([str(word) for word in words], env)
        processes.append(process)
        return process

    yield start
    for process in processes:
        process.close()


def bench_toml(platforms, options="", slot_lines=None):
    """A virtual bench in real time."""
    slots = "".join(
        f'[[slot]]\nname = "{number}"\nplatform = "{platform}"\n{(slot_lines or {}).get(number, "")}\n'
        for number, platform in enumerate(platforms, start=1)
    )
    return (
        '[bench]\nname = "browser"\ndriver = "virtual"\nstate_dir = "boards"\n'
        f'[bench.options]\nclock = "real"\n{options}\n{slots}'
    )


@pytest.fixture
def station(tmp_path, particle_dev, release_store):
    """Starts a station on a virtual bench."""

    def start(platforms=("boron",), *words, page="127.0.0.1:0", options="", slot_lines=None, run="run"):
        bench = tmp_path / "bench.toml"
        if not bench.exists():
            bench.write_text(bench_toml(platforms, options, slot_lines))
        return particle_dev(
            *("station", "run", "--bench", bench, "--recipe", RECIPE, "--store", release_store.root),
            *("--out", tmp_path / run, "--site", tmp_path / "site", "--page", page, *words),
        )

    return start


@pytest.fixture
def shown(tmp_path):
    """Serves the page of events, from this process; more can be given to its ``handle``."""
    with ExitStack() as opened:

        def show(scene, users=None, name="run", texts=None):
            (tmp_path / "site").mkdir(exist_ok=True)
            (tmp_path / name).mkdir(exist_ok=True)
            settings = PageSettings("127.0.0.1", 0, users)
            page = opened.enter_context(StationPage(settings, tmp_path / "site", None, tmp_path / name, texts or {}))
            for event in scene.events:
                page.handle(event)
            return page

        yield show
