"""What can be done to a board in the guard's proof: by the library without a permission, by people, by the cloud."""

from dataclasses import dataclass

from hypothesis import strategies as st
from particle_harness.cloud.faults import CloudFault

from particle_dev.device.control import ControlSession
from particle_dev.device.dfu import DfuSession
from particle_dev.device.discovery import list_devices
from particle_dev.device.mode_changes import change_mode
from particle_dev.device.modes import Target, enter_dfu
from particle_dev.flash.board_modules import ModuleFile
from particle_dev.flash.carry_out import carry_out
from particle_dev.flash.execute import flash, verify
from particle_dev.flash.inventory import read_inventory
from particle_dev.flash.plan import make_plan
from particle_dev.flash.update_plan import make_update_plan
from particle_dev.permissions import NOTHING
from particle_dev.protocol.messages_config import Feature, StartupMode
from particle_dev.protocol.messages_radio import WifiCredentials, WifiSecurity
from particle_dev.protocol.module import parse
from particle_dev.protocol.secret import Secret
from tests.station.foreign_tools import use
from tests.station.guard_world import Shelf

NETWORK = WifiCredentials("Bench", WifiSecurity.WPA2, Secret("bench-password"))


@dataclass(frozen=True)
class Cut:
    """What goes wrong with the power in the middle of a call: at the n-th transfer, or flash work."""

    do: str
    at: str
    n: int

    def table(self):
        replug = {"replug_after_s": 2.0} if self.do != "brown_out" else {}
        return {"do": self.do, "at": self.at, "n": self.n, **replug}


CUTS = (
    st.none()
    | st.none()
    | st.builds(
        Cut,
        st.sampled_from(["unplug", "power_off", "brown_out"]),
        st.sampled_from(["dfu_transfer", "control_transfer"]),
        st.integers(1, 120),
    )
)
LIVES = st.none() | st.none() | st.integers(0, 30) | st.integers(0, 400)
"""Lines, transfers and looks at the bus until the program is killed."""

# ---- what the library does without any permission -----------------------------------------------------------------


def asked(act):
    def do(world, device, modules):
        with ControlSession(world.host, device) as session:
            act(session)

    return do


def leave(world, device, *, safe_mode=False):
    with DfuSession(world.host, device) as session:
        if safe_mode:
            session.leave_into_safe_mode()
        else:
            session.leave()


def files(modules):
    shelf = Shelf(modules)
    return shelf, [ModuleFile(parse(data), sha256, sha256[:8]) for sha256, data in shelf.data.items()]


def flash_set(world, device, modules):
    shelf, offered = files(modules)
    plan = make_plan(read_inventory(world.host, device), offered)
    device, _ = enter_dfu(world.host, device)
    with DfuSession(world.host, device) as session:
        for _ in flash(plan, session, shelf.read):
            pass
        for _ in verify(plan, session, shelf.read):
            pass


def update(world, device, modules):
    shelf, offered = files(modules)
    plan = make_update_plan(read_inventory(world.host, device), offered, mode=device.mode)
    for _ in carry_out(world.host, device, plan, shelf.read, permissions=NOTHING):
        pass


LIBRARY = {
    **{f"mode {t}": (lambda w, d, _m, t=t: change_mode(w.host, d, t)) for t in Target},
    "leave DFU": lambda w, d, _m: leave(w, d),
    "leave into safe mode": lambda w, d, _m: leave(w, d, safe_mode=True),
    "list": lambda w, _d, _m: list_devices(w.host),
    "enter DFU": lambda w, d, _m: enter_dfu(w.host, d),
    "flash": flash_set,
    "update": update,
    "inventory": lambda w, d, _m: read_inventory(w.host, d),
    "disconnect": asked(lambda s: s.disconnect_from_cloud()),
    "stop connecting": asked(lambda s: s.stop_connecting()),
    "connect": asked(lambda s: s.connect_to_cloud()),
    "reset": asked(lambda s: s.reset()),
    "safe mode": asked(lambda s: s.enter_safe_mode()),
    "listen": asked(lambda s: s.start_listening()),
    "stop listening": asked(lambda s: s.stop_listening()),
    "listen at next boot": asked(lambda s: s.config.set_startup_mode(StartupMode.LISTENING)),
    "setup done": asked(lambda s: s.config.set_setup_done(True)),
    "modules": asked(lambda s: s.module_info()),
    "diagnostics": asked(lambda s: s.diagnostics()),
    "iccid": asked(lambda s: s.cellular.ids()),
    "scan": asked(lambda s: s.wifi.scan()),
    "store network": asked(lambda s: s.wifi.store(NETWORK)),
    "join network": asked(lambda s: s.wifi.join(NETWORK)),
    "networks": asked(lambda s: s.wifi.known_networks()),
    "ethernet": asked(lambda s: s.config.feature(Feature.ETHERNET_DETECTION)),
}

# ---- what happens in the middle of a run ---------------------------------------------------------------------------


def button(world, seconds):
    world.board.reset_pin()
    world.clock.sleep(seconds)
    world.board.advance()


def button_and_back(world, seconds):
    """Reset, left alone for a while, and back into DFU mode by the MODE button."""
    button(world, seconds)
    world.board.state.dfu_requested = True
    world.board.reset_pin()


def glitch(world, seconds):
    world.board.power_off()
    world.clock.sleep(seconds)
    world.board.power_on()


def let_pass(world, seconds):
    world.clock.sleep(seconds)
    world.board.advance()


def connects_then_listens(world, seconds):
    """Long enough to come online, and then a tool puts it into listening mode."""
    let_pass(world, 60 + seconds)
    use(world, "particle-usb: listen", {})


def connects_then_forgets(world, seconds):
    let_pass(world, 60 + seconds)
    use(world, "particle-usb: clear networks", {})


def connects_then_dfu(world, seconds):
    let_pass(world, 60 + seconds)
    use(world, "14400 baud", {})


def reset_connects_then_dfu(world, seconds):
    button_and_back(world, 60 + seconds)


SOMEBODY = {
    "waits": let_pass,
    "lets it connect, then listen": connects_then_listens,
    "lets it connect, then forget": connects_then_forgets,
    "lets it connect, then DFU": connects_then_dfu,
    "resets, lets it connect, then DFU": reset_connects_then_dfu,
    "presses reset": button,
    "presses reset, later DFU": button_and_back,
    "interrupts the power": glitch,
    "imports": lambda w, _s: w.import_into(w.products[0]),
    "removes": lambda w, _s: w.remove_from(w.products[0]),
    "deactivates": lambda w, _s: w.change_sim("deactivate"),
    "reactivates": lambda w, _s: w.change_sim("reactivate"),
}
LIES = {
    "online": {"do": "lie_online", "online": True, "count": 2},
    "offline": {"do": "lie_online", "online": False, "count": 0},
    "500": {"do": "status", "on": "GET /v1/products/*/devices/*", "count": 7},
    "no JSON": {"do": "truncate", "on": "GET /v1/products/*/devices/*", "count": 7},
    "no SIM": {"do": "status", "on": "GET /v1/products/*/sims/*", "count": 7},
    "lost events": {"do": "lose", "count": 0},
    "HTML": {"do": "html", "count": 3},
    "token": {"do": "status", "status": 401, "count": 5},
    "stuck SIM": {"do": "sim_stuck", "count": 1},
}

CONSPIRACIES = {
    "record and counters": (True, True, "hears"),
    "record, counters, and a gap": (True, True, "gap"),
    "a late record, counters, and a gap": ("late", True, "gap"),
    "counters and stream, and a late record": ("late", True, "deaf"),
    "record and stream": (True, False, "deaf"),
    "counters and stream": (False, True, "deaf"),
}
"""Who lies: the cloud's record of the device, the board's counters, the stream. The one that is left tells the truth; a
gap in the stream is no lie, for the reader knows of it."""
LATE_S = 50.0


class LateRecord(CloudFault):
    """The record shows a connection only so long after the power went."""

    world = None

    @property
    def over(self):
        return False

    def hits(self):
        w = self.world
        return w.off_at_s is None or w.clock.monotonic_s() < w.off_at_s + LATE_S


def conspire(world, record, counters, stream):
    """Let them lie from now on, until :func:`confess`."""
    if record == "late":
        fault = LateRecord("hide_connection", count=0)
        fault.world = world
        world.cloud.faults._faults.append(fault)
    elif record:
        world.cloud.add_fault({"do": "hide_connection", "count": 0})
        world.cloud.add_fault({"do": "lie_online", "online": False, "count": 0})
    if counters:
        told = world.board._system.diagnostics
        innocent = ("cloud:stat", "cloud:connatt", "cloud:dconn", "cloud:err", "net:connatt", "net:dconn", "net:stat")
        world.board._system.diagnostics = lambda: told() | dict.fromkeys(innocent, 0)
    world.stream.is_deaf = stream == "deaf"


def confess(world):
    """Everybody is honest again."""
    world.cloud.faults.clear()
    vars(world.board._system).pop("diagnostics", None)
    world.stream.is_deaf = False
