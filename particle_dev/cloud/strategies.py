"""The three ways to test and ship without surprises on the bill, as tables: which act is allowed when, and why not.

A pure planner. A station or a connectivity test keeps a :class:`UnitFacts` up to date with what it has proven, asks
:func:`next_acts` what may come, and calls :func:`require_act` before it acts. What is not known counts as not so.

A    Into the product first, then an end-to-end test on the line. Billing starts, knowingly.
B    Test in an account of its own, then move. The first connection is made there; whether it counts on arrival is not
     documented, so the guard only promises that none was added.
C    The customer connects first. Nothing on the line ever goes online.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from particle_dev.cloud.gate import Gate
from particle_dev.cloud.metering import BillingVerdict
from particle_dev.errors import ActRefusedError


class Strategy(StrEnum):
    """Which of the three."""

    A = "A"
    B = "B"
    C = "C"


class Act(StrEnum):
    """What a line can do to a unit, in the order in which it usually comes."""

    IDENTIFY = "identify"
    TAKE_BASELINE = "take_baseline"
    CLAIM_IN_TEST_ACCOUNT = "claim_in_test_account"
    IMPORT = "import"
    FLASH_TEST = "flash_test"
    """An application of ours that connects only when told to."""
    RUN_TEST = "run_test"
    """Boot it, its radio left alone."""
    FLASH_FINAL = "flash_final"
    BOOT_FINAL = "boot_final"
    """Boot what may connect by itself, without wanting it to."""
    CONNECT = "connect"
    """Let it go online."""
    DISCONNECT = "disconnect"
    POWER_OFF = "power_off"
    UNCLAIM = "unclaim"
    RELEASE_SIM = "release_sim"
    GATE = "gate"
    """Read the cloud's record again and give the verdict."""
    SHIP = "ship"
    UNDO = "undo"


class Runs(StrEnum):
    """What a unit would boot."""

    UNKNOWN = "unknown"
    OURS = "ours"
    """A test application of ours, which connects only when told to."""
    FINAL = "final"


@dataclass(frozen=True, slots=True)
class UnitFacts:
    """What was proven about a unit. The defaults are ignorance.

    ``sim_off``: the SIM is not active (or there is none); ``no_credentials``: no Wi-Fi network is stored (or no Wi-Fi).
    ``set_is_complete``: every dependency and asset of what it would boot is met. ``gets_what_the_product_releases``:
    the application has the version that the product gives its devices, or the unit is marked as a development device.
    ``sim_shared_with_product``: the test account is in the product's team, so that the SIM moves without a release.
    """

    consent: bool = False
    identified: bool = False
    has_power: bool = True
    held: bool = False
    """In DFU mode, halted, or listening."""
    baseline_taken: bool = False
    room_in_plan: bool = False
    platform_matches: bool = False
    auto_approve_off: bool = False
    in_test_account: bool = False
    in_product: bool = False
    approved: bool = False
    claimed: bool = False
    sim_active: bool = False
    sim_off: bool = False
    no_credentials: bool = False
    sim_shared_with_product: bool = False
    sim_class: int | None = None
    runs: Runs = Runs.UNKNOWN
    set_is_complete: bool = False
    read_back: bool = False
    gets_what_the_product_releases: bool = False
    stream_watched: bool = False
    has_connected: bool = False
    is_offline: bool = False
    budget_left: bool = False
    gate: Gate | None = None

    @property
    def is_interlocked(self) -> bool:
        """Nothing it may boot gets online: no SIM that is active, and no Wi-Fi network."""
        return self.sim_off and self.no_credentials


@dataclass(frozen=True, slots=True)
class Rule:
    """A condition of an act: ``holds`` of the unit, or else ``reason``; ``hazard`` is what it prevents."""

    holds: Callable[[UnitFacts], bool]
    reason: str
    hazard: str | None = None


_identified = Rule(lambda u: u.identified, "its Device ID is not known")
_dark = Rule(lambda u: not u.has_power or u.held, "it has power and runs, and may connect meanwhile", "H1")
_off = Rule(lambda u: not u.has_power, "it still has power", "H13")
_powered = Rule(lambda u: u.has_power, "it has no power")
_consent = Rule(lambda u: u.consent, "nobody has agreed that billing starts (may_connect, --may-connect)")
_room = Rule(lambda u: u.room_in_plan, "whether the plan has room for it is not known, or it has none")
_platform = Rule(lambda u: u.platform_matches, "its platform is not known to be the product's")
_no_auto_approve = Rule(lambda u: u.auto_approve_off, "auto-approve is not known to be off", "H11")
_member = Rule(lambda u: u.in_product and u.approved, "it is no approved member of the product", "H12")
_complete = Rule(lambda u: u.set_is_complete, "its modules are not known to be complete: safe mode connects", "H3")
_read_back = Rule(lambda u: u.read_back, "what was written is not read back")
_released = Rule(
    lambda u: u.gets_what_the_product_releases,
    "the cloud would flash another version as soon as it connects: flash that one, or mark it as a development device",
    "H10",
)
_stream = Rule(lambda u: u.stream_watched, "nobody watches the product's events")
_budget = Rule(lambda u: u.budget_left, "the budget of data operations or data is not known, or spent")
_offline = Rule(lambda u: u.is_offline, "the cloud is not known to see it offline")
_never_ran = Rule(lambda u: u.runs is Runs.FINAL, "it does not hold the final firmware")
_known_app = Rule(lambda u: u.runs is not Runs.UNKNOWN, "what it would boot is not known")
_ours = Rule(lambda u: u.runs is Runs.OURS, "it does not hold a test application of ours", "H1")
_interlocked = Rule(
    lambda u: u.is_interlocked, "neither an inactive SIM nor the lack of Wi-Fi networks holds its radio back", "H1"
)
_connected = Rule(lambda u: u.has_connected, "it has not been connected")
_unclaimed = Rule(lambda u: not u.claimed and not u.in_test_account, "it still belongs to an account")
_sim_shared = Rule(
    lambda u: u.sim_shared_with_product,
    "the test account is not in the product's team, so its SIM would have to be released",
)
_gate_known = Rule(lambda u: u.gate is not None, "there is no verdict yet")


def _never(reason: str, hazard: str | None = None) -> tuple[Rule, ...]:
    return (Rule(lambda _: False, reason, hazard),)


_ANY: dict[Act, tuple[Rule, ...]] = {
    Act.IDENTIFY: (),
    Act.TAKE_BASELINE: (_identified,),
    Act.POWER_OFF: (),
    Act.UNDO: (_identified,),
}
"""What every strategy allows alike."""
_A: dict[Act, tuple[Rule, ...]] = {
    Act.IMPORT: (_consent, _identified, _room, _platform, _no_auto_approve, _dark),
    Act.FLASH_FINAL: (_identified, _powered, _member, _dark),
    Act.CONNECT: (
        _consent,
        _powered,
        _member,
        Rule(lambda u: u.sim_active or not u.no_credentials, "its SIM is not active, and no Wi-Fi network is stored"),
        _known_app,
        _complete,
        _read_back,
        _released,
        _stream,
        _budget,
    ),
    Act.DISCONNECT: (_connected,),
    Act.GATE: (_connected, _off, _offline),
    Act.SHIP: (_gate_known, _off, _offline),
    Act.CLAIM_IN_TEST_ACCOUNT: _never("strategy A tests in the product itself"),
    Act.FLASH_TEST: (_identified, _powered, _dark),
    Act.RUN_TEST: (_powered, _ours, _complete),
    Act.BOOT_FINAL: _never("use connect, which asks for all that a wanted connection needs", "H1"),
    Act.UNCLAIM: _never("strategy A claims nothing"),
    Act.RELEASE_SIM: _never("a released SIM may take days to come back; undo releases it for good"),
}
_B: dict[Act, tuple[Rule, ...]] = {
    Act.CLAIM_IN_TEST_ACCOUNT: (_consent, _identified, _room, _sim_shared, _dark),
    Act.FLASH_TEST: (_identified, _powered, _dark),
    Act.RUN_TEST: (_powered, _ours, _complete),
    Act.CONNECT: (
        _consent,
        _powered,
        Rule(lambda u: u.in_test_account, "it is not in the test account"),
        Rule(lambda u: not u.in_product, "it is in the product already: its connection would count there", "H14"),
        Rule(lambda u: u.sim_active or not u.no_credentials, "its SIM is not active, and no Wi-Fi network is stored"),
        _known_app,
        _complete,
        _budget,
    ),
    Act.DISCONNECT: (_connected,),
    Act.FLASH_FINAL: (_identified, _powered, _dark),
    Act.UNCLAIM: (_never_ran, _read_back, _complete, _off),
    Act.IMPORT: (
        _identified,
        Rule(lambda u: u.baseline_taken, "its last connection in the test account is not on record", "H14"),
        _room,
        _platform,
        _no_auto_approve,
        _unclaimed,
        _never_ran,
        _read_back,
        _off,
    ),
    Act.GATE: (_member, _off),
    Act.SHIP: (
        _gate_known,
        _off,
        Rule(
            lambda u: u.gate is not None and u.gate.since_baseline is BillingVerdict.NOT_STARTED,
            "it may have been online since the baseline",
        ),
    ),
    Act.BOOT_FINAL: _never("the final firmware must not run before it is shipped", "H1"),
    Act.RELEASE_SIM: _never("the SIM moves without a release; a released one may take days to come back", "H17"),
}
_C: dict[Act, tuple[Rule, ...]] = {
    Act.IMPORT: (
        _identified,
        _room,
        _platform,
        _no_auto_approve,
        Rule(
            lambda u: not u.has_power or u.held or u.runs is Runs.OURS,
            "importing activates the SIM: power it off, hold it, or give it an application that does not connect",
            "H9",
        ),
    ),
    Act.FLASH_TEST: (_identified, _powered, _dark),
    Act.RUN_TEST: (_powered, _ours, _complete),
    Act.FLASH_FINAL: (_identified, _powered, _dark),
    Act.BOOT_FINAL: (_complete, _read_back, _interlocked),
    Act.CONNECT: _never("strategy C never connects on the line"),
    Act.DISCONNECT: _never("strategy C never connects on the line"),
    Act.CLAIM_IN_TEST_ACCOUNT: _never("strategy C never connects on the line"),
    Act.UNCLAIM: _never("strategy C claims nothing"),
    Act.RELEASE_SIM: _never("a released SIM may take days to come back; undo releases it for good", "H17"),
    Act.GATE: (_member, _off),
    Act.SHIP: (
        _gate_known,
        _never_ran,
        _complete,
        _read_back,
        _off,
        Rule(
            lambda u: u.gate is not None and u.gate.verdict is BillingVerdict.NOT_STARTED,
            "it is not proven that its billing has not started",
        ),
    ),
}
_STRATEGIES = {Strategy.A: _ANY | _A, Strategy.B: _ANY | _B, Strategy.C: _ANY | _C}


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why an act is not allowed now."""

    reason: str
    hazard: str | None


def rules(strategy: Strategy, act: Act) -> tuple[Rule, ...]:
    """The conditions of an act."""
    return _STRATEGIES[strategy][act]


def refusals(strategy: Strategy, unit: UnitFacts, act: Act) -> tuple[Refusal, ...]:
    """Every reason why a unit may not have that act now; empty: it may."""
    return tuple(Refusal(r.reason, r.hazard) for r in rules(strategy, act) if not r.holds(unit))


def next_acts(strategy: Strategy, unit: UnitFacts) -> tuple[Act, ...]:
    """The acts that are allowed now, in their usual order."""
    return tuple(act for act in Act if not refusals(strategy, unit, act))


def require_act(strategy: Strategy, unit: UnitFacts, act: Act) -> None:
    """Raise ActRefusedError, with every reason, unless the act is allowed now. Nothing is done."""
    found = refusals(strategy, unit, act)
    if found:
        hazards = [r.hazard for r in found if r.hazard]
        raise ActRefusedError(
            f"strategy {strategy} does not allow '{act}' now: {'; '.join(r.reason for r in found)}",
            strategy=strategy,
            act=act,
            reasons=[r.reason for r in found],
            hazards=hazards,
            hint=f"allowed now: {', '.join(next_acts(strategy, unit))}",
        )


def passes(strategy: Strategy, gate: Gate) -> bool:
    """Whether a verdict is what the strategy promises: A, that the connection is on record; B, none since the
    baseline; C, none ever."""
    match strategy:
        case Strategy.A:
            return gate.verdict is BillingVerdict.STARTED
        case Strategy.B:
            return gate.since_baseline is BillingVerdict.NOT_STARTED
        case Strategy.C:
            return gate.verdict is BillingVerdict.NOT_STARTED
