"""Recipes: what a station does to a unit, and with which firmware. TOML; see ``recipes/ship.toml``."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from particle_dev.catalog.platforms import PLATFORMS, platform_by_name
from particle_dev.cloud.plans import PlanName
from particle_dev.cloud.strategies import Act, Strategy
from particle_dev.cloud.strategy_order import SAFE_ORDER, STATION_ACTS, STATION_ORDER, first_unsafe
from particle_dev.connectivity.measurements import MEASURED, Limit
from particle_dev.connectivity.plan import ConnectivityOptions
from particle_dev.connectivity.stages import Stage
from particle_dev.station.label_choice import LabelChoice, read_label
from particle_dev.station.policy import RetryPolicy, SlotRules, read_retries, read_slot_rules
from particle_dev.toml_file import TomlFile, TomlTable, suggestion

_IN_THE_CLOUD = (Act.TAKE_BASELINE, Act.IMPORT, Act.CONNECT, Act.DISCONNECT, Act.UNCLAIM, Act.GATE)
_TABLES = (
    "recipe",
    "firmware",
    "limits",
    "cloud",
    "probe",
    "test_account",
    "connectivity",
    "retries",
    "slots",
    "label",
)
_SHA256 = re.compile("[0-9A-Fa-f]{64}")


@dataclass(frozen=True, slots=True)
class FirmwareChoice:
    """What goes onto one platform: a Device OS release by name and an app by its file name in the store. ``restore``:
    the restore file with boot record and UICR that a blank nRF52840 board needs from a debug probe."""

    device_os: str
    app: str
    restore: Path | None = None


@dataclass(frozen=True, slots=True)
class Limits:
    """How long each step may take, in seconds, before it fails.

    The defaults are several times what the slowest board needs: a Photon erases 128 KB sectors for a second
    or two each, and full-speed DFU moves some tens of kilobytes per second.
    """

    identify_s: float = 15.0
    check_s: float = 15.0
    enter_dfu_s: float = 30.0
    flash_s: float = 300.0
    verify_s: float = 180.0
    park_s: float = 15.0
    cloud_s: float = 120.0
    """To read the cloud's record before anything is erased. No request of a run waits longer than that for the limits
    on requests, which others of the site may have used up."""
    import_s: float = 600.0
    """Recipes that import: until the unit is a member, and, to connect it, its SIM active."""
    connect_s: float = 600.0
    """Strategy A, from the boot to the first sign of the connection in the cloud."""
    connectivity_s: float = 1800.0
    """Strategy A with [connectivity]: all stages; a first registration takes up to 20 minutes."""
    gate_s: float = 600.0
    """Until somebody has unplugged the unit, where the bench cannot switch its power, and the record has settled."""
    label_s: float = 300.0
    """Recipes whose labels are scanned back: from the moment when the label is asked for."""


@dataclass(frozen=True, slots=True)
class CloudChoice:
    """The product whose records prove the billing verdict. ``profile`` None: the one that particle-cli uses now;
    ``plan`` is that of the product's owner: which decides what counts. ``semi_automatic_apps``: SHA-256 (as ``id`` and
    ``inspect`` tell them) of applications with which units may arrive and which connect only when told to."""

    product: str
    plan: PlanName
    profile: str | None = None
    semi_automatic_apps: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class ProbeChoice:
    """What debug probes do, in slots that have one. ``blank_only``: only boards that do not show up on USB within
    ``wait_s``. ``then_usb``: the probe leaves the board in DFU mode, and USB identifies it, reads everything back and
    parks it; else it ends halted. ``under_reset``: the reset line is held while the probe connects."""

    blank_only: bool = True
    then_usb: bool = True
    wait_s: float = 5.0
    frequency_hz: int = 4_000_000
    under_reset: bool = False


@dataclass(frozen=True, slots=True)
class ReleaseMark:
    """The release that a recipe came in; ``sha256`` stands for all of its files. ``signed_by`` None: nobody vouches."""

    name: str
    version: str
    sha256: str
    signed_by: str | None


@dataclass(frozen=True, slots=True)
class Recipe:
    """One recipe. ``firmware`` is by platform name; ``sha256`` is that of the file at ``path``.

    ``finish`` "dfu": the unit ends in DFU mode, powered off where the bench can, and never boots its app, except for
    the connection of strategy A. ``strategy`` None is C, whose verdict then rests on what the station sees. ``cloud``
    None: the cloud is not asked.
    """

    name: str
    description: str
    finish: str
    firmware: Mapping[str, FirmwareChoice]
    limits: Limits
    path: str
    sha256: str
    strategy: Strategy | None = None
    cloud: CloudChoice | None = None
    probe: ProbeChoice | None = None
    order: tuple[Act, ...] = ()
    """What is done to a unit, in an order that the strategy allows; empty: the usual one."""
    test_profile: str | None = None
    """Login of the account in which units of strategy B were tested."""
    release: ReleaseMark | None = None
    connectivity: ConnectivityOptions | None = None
    """Strategy A: test each unit end to end instead of only waiting for its connection."""
    retries: RetryPolicy = field(default_factory=RetryPolicy)
    slot_rules: SlotRules | None = None
    """When a slot is taken out of use; None: never."""
    label: LabelChoice | None = None
    """The label that each unit gets; None: none."""

    @property
    def acts(self) -> tuple[Act, ...]:
        """What is done to a unit, in this order."""
        return self.order or STATION_ORDER[self.strategy or Strategy.C]


def load_recipe(path: Path) -> Recipe:
    """The recipe in a TOML file.

    ConfigError (file, line, key): unreadable, no TOML, an unknown key or platform, a missing or wrong value.
    """
    file = TomlFile(path)
    root = file.root
    root.allow_only(_TABLES)
    head = root.table("recipe")
    head.allow_only(["name", "description", "finish", "strategy", "acts"])
    finish = head.text("finish", words=("dfu",))
    if finish != "dfu":
        raise head.error(
            "finish",
            f"recipe.finish {finish!r} is not known",
            hint='"dfu" ends without booting the app, which could go online and start billing',
        )
    firmware_table = root.table("firmware")
    firmware: dict[str, FirmwareChoice] = {}
    for name in firmware_table.values:
        platform = platform_by_name(name)
        if platform is None:
            names = [platform.name for platform in PLATFORMS]
            raise firmware_table.error(name, f"unknown platform {name!r}", hint=suggestion(name, names))
        if platform.name in firmware:
            raise firmware_table.error(name, f"firmware of {platform.name} is given twice")
        choice = firmware_table.table(name)
        choice.allow_only(["device_os", "app", "restore"])
        restore = path.parent / choice.text("restore") if "restore" in choice.values else None
        firmware[platform.name] = FirmwareChoice(choice.text("device_os"), choice.text("app"), restore)
    if not firmware:
        raise firmware_table.error(None, "no platform has firmware", hint="add a table such as [firmware.boron]")
    strategy = _strategy(head)
    cloud = _cloud(root, strategy)
    order = _order(head, strategy or Strategy.C, cloud)
    test_profile = _test_profile(root, order)
    probe = _probe(root)
    if probe is not None and Act.IMPORT in order and order.index(Act.IMPORT) < order.index(Act.FLASH_FINAL):
        hint = "a debug probe flashes before the unit is in DFU mode: import it after power_off, or beforehand"
        raise head.item_error("acts", order.index(Act.IMPORT), "[probe] leaves no time for 'import' there", hint=hint)
    if probe is not None and cloud is not None and not probe.then_usb:
        raise root.table("probe").error(
            "then",
            "a recipe with [cloud] needs a loss of power that is seen on USB, where a halted board is not",
            hint='then = "usb", or leave [cloud] out',
        )
    limits = root.table("limits", required=False)
    defaults = dataclasses.asdict(Limits())
    limits.allow_only(defaults)
    return Recipe(
        name=head.text("name"),
        description=head.text("description", "no description"),
        finish=finish,
        firmware=firmware,
        limits=Limits(**{key: limits.seconds(key, default) for key, default in defaults.items()}),
        path=str(path),
        sha256=file.sha256,
        strategy=strategy,
        cloud=cloud,
        probe=probe,
        order=order,
        test_profile=test_profile,
        connectivity=_connectivity(root, strategy),
        retries=read_retries(root),
        slot_rules=read_slot_rules(root),
        label=read_label(root),
    )


def _strategy(head: TomlTable) -> Strategy | None:
    if "strategy" not in head.values:
        return None
    word = head.text("strategy")
    if word not in list(Strategy):
        raise head.error(
            "strategy",
            f"recipe.strategy {word!r} is not known",
            hint='"A" tests online in the product, "B" after a test in another account, "C" never connects',
        )
    return Strategy(word)


def _order(head: TomlTable, strategy: Strategy, cloud: CloudChoice | None) -> tuple[Act, ...]:
    """The acts that a recipe lists. Refuses what a station does not do, and an order that the strategy forbids."""
    if "acts" not in head.values:
        return ()
    words = head.values["acts"]
    possible = [str(act) for act in Act if act in STATION_ACTS[strategy]]
    if not isinstance(words, list) or not words or not all(isinstance(word, str) for word in words):
        raise head.error("acts", "recipe.acts must be a list of acts", hint=f"of these: {', '.join(possible)}")
    for index, word in enumerate(words):
        if word not in possible:
            message = f"a station does not {word!r} by strategy {strategy}"
            raise head.item_error("acts", index, message, hint=suggestion(word, possible))
        if word in words[:index]:
            raise head.item_error("acts", index, f"{word!r} comes twice", hint="take one of them out")
        if cloud is None and word in _IN_THE_CLOUD:
            raise head.item_error("acts", index, f"{word!r} needs the cloud", hint="add a table [cloud]")
    acts = tuple(Act(word) for word in words)
    lacking = [act for act in (Act.IDENTIFY, Act.FLASH_FINAL, Act.POWER_OFF) if act not in acts]
    lacking += [Act.GATE] if cloud is not None and Act.GATE not in acts else []
    if lacking or acts[0] is not Act.IDENTIFY:
        what = f"'{lacking[0]}' is missing in" if lacking else "'identify' must come first in"
        usual = ", ".join(STATION_ORDER[strategy])
        raise head.error("acts", f"{what} recipe.acts", hint=f"the usual order is {usual}")
    unsafe = first_unsafe(strategy, acts)
    if unsafe is not None:
        hint = f"the safe order is {', '.join(act for act in SAFE_ORDER[strategy] if act in STATION_ACTS[strategy])}"
        message = f"strategy {strategy} does not allow '{unsafe.act}' there: {unsafe.reason}"
        raise head.item_error("acts", unsafe.index, message, hint=hint)
    return acts


def _test_profile(root: TomlTable, order: tuple[Act, ...]) -> str | None:
    if "test_account" not in root.values:
        if Act.UNCLAIM in order:
            hint = 'add [test_account] with profile = "…", a login of particle-cli'
            raise root.error("recipe", "'unclaim' needs the account in which the units were tested", hint=hint)
        return None
    table = root.table("test_account")
    table.allow_only(["profile"])
    if Act.UNCLAIM not in order:
        raise root.error("test_account", "no act uses the test account", hint="add 'unclaim' to recipe.acts")
    return table.text("profile")


def _cloud(root: TomlTable, strategy: Strategy | None) -> CloudChoice | None:
    if "cloud" not in root.values:
        if strategy is not None and strategy is not Strategy.C:
            raise root.error(
                "cloud", f"strategy {strategy} needs the cloud", hint="add a table [cloud] with the product"
            )
        return None
    table = root.table("cloud")
    table.allow_only(["product", "profile", "plan", "semi_automatic_apps"])
    product = table.values.get("product")
    product = str(product) if type(product) is int else table.text("product")
    word = table.text("plan", words=PlanName)
    if word not in list(PlanName):
        hint = suggestion(word, [str(name) for name in PlanName])
        raise table.error("plan", f"cloud.plan {word!r} is not known", hint=hint)
    profile = table.text("profile") if "profile" in table.values else None
    return CloudChoice(product, PlanName(word), profile, _hashes(table, "semi_automatic_apps"))


def _connectivity(root: TomlTable, strategy: Strategy | None) -> ConnectivityOptions | None:
    if "connectivity" not in root.values:
        return None
    table = root.table("connectivity")
    if strategy is not Strategy.A:
        raise root.error(
            "connectivity",
            "only strategy A goes online at a station",
            hint='strategy = "A", or test the unit before with `particle-dev test connectivity`',
        )
    table.allow_only(["without", "event", "first_connection", "limits"])
    without = table.values.get("without", [])
    if not isinstance(without, list) or not all(word in list(Stage) for word in without):
        hint = f"a list of these: {', '.join(Stage)}"
        raise table.error("without", f"connectivity.without {without!r} names what is no stage", hint=hint)
    first = table.values.get("first_connection", False)
    if not isinstance(first, bool):
        raise table.error("first_connection", f"connectivity.first_connection is {first!r}", hint="true or false")
    limits = table.table("limits", required=False)
    limits.allow_only(MEASURED)
    return ConnectivityOptions(
        without=frozenset(Stage(word) for word in without),
        event_prefix=table.text("event") if "event" in table.values else None,
        first_connection=first,
        limits={name: _limit(limits.table(name)) for name in limits.values},
    )


def _limit(table: TomlTable) -> Limit:
    names = ("min", "max", "warn_min", "warn_max")
    table.allow_only(names)
    for name, value in table.values.items():
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise table.error(name, f"{name} is {value!r}", hint="a number, such as -110")
    return Limit(**{name: float(value) for name, value in table.values.items()})


def _hashes(table: TomlTable, key: str) -> frozenset[str]:
    """A list of SHA-256 in hexadecimal."""
    hashes = table.values.get(key, [])
    if not isinstance(hashes, list) or not all(isinstance(h, str) and _SHA256.fullmatch(h) for h in hashes):
        raise table.error(key, f"cloud.{key} must be a list of SHA-256", hint='write ["64 hexadecimal digits", …]')
    return frozenset(h.lower() for h in hashes)


def _probe(root: TomlTable) -> ProbeChoice | None:
    if "probe" not in root.values:
        return None
    table, default = root.table("probe"), ProbeChoice()
    table.allow_only(["boards", "then", "wait_s", "frequency_hz", "under_reset"])
    frequency_hz, under_reset = table.values.get("frequency_hz", default.frequency_hz), table.values.get("under_reset")
    if type(frequency_hz) is not int or not 10_000 <= frequency_hz <= 50_000_000:
        raise table.error("frequency_hz", f"probe.frequency_hz is {frequency_hz!r}", hint="such as 4000000")
    if under_reset not in (None, True, False):
        raise table.error("under_reset", f"probe.under_reset is {under_reset!r}", hint="true or false")
    return ProbeChoice(
        blank_only=_word(table, "boards", ("blank", "all")) == "blank",
        then_usb=_word(table, "then", ("usb", "nothing")) == "usb",
        wait_s=table.seconds("wait_s", default.wait_s),
        frequency_hz=frequency_hz,
        under_reset=bool(under_reset),
    )


def _word(table: TomlTable, key: str, words: tuple[str, ...]) -> str:
    """One of the words; the first where nothing is said."""
    word = table.text(key, words[0])
    if word not in words:
        raise table.error(key, f"probe.{key} {word!r} is not known", hint=" or ".join(f'"{w}"' for w in words))
    return word
