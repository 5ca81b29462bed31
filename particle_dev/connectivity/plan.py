"""Which stages a test has, and what it costs: made without a device."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from particle_dev.catalog.platforms import Platform
from particle_dev.cloud.budget import NOTHING_SPENT, Cost, cost_of_test
from particle_dev.cloud.gate import Radio
from particle_dev.cloud.strategies import Strategy
from particle_dev.connectivity.measurements import DEFAULT_LIMITS, Limit
from particle_dev.connectivity.stages import FIRST_REGISTRATION_S, SPECS, STAGES, Stage
from particle_dev.errors import ConnectivityError
from particle_dev.protocol.messages_radio import WifiCredentials

NONCE_BYTES = 32
"""Of the payload of an event of the test."""


@dataclass(frozen=True, slots=True)
class FunctionProbe:
    """A function of the unit's own application to call. ``expected`` None: any value will do."""

    name: str
    argument: str = ""
    expected: int | None = None


@dataclass(frozen=True, slots=True)
class VariableProbe:
    """A variable of the unit's own application to read. ``expected`` None: any value; else its text."""

    name: str
    expected: str | None = None


@dataclass(frozen=True, slots=True)
class ConnectivityOptions:
    """What the caller chooses.

    ``only``: these stages and no others; empty: all that the strategy and the board have, but for ``without``.
    ``restart``: reset the board first, so that its whole way online is seen. ``first_connection``: its SIM was never in
    a network, so registration gets 20 minutes. ``wifi``: credentials that the test stores and forgets again.
    ``event_prefix``: for applications without the self-test service, an event that they publish by themselves.
    ``ota_version``: a version of the product's firmware that the unit is locked to and gets over the air.
    ``expected_*``: what the unit is to run; None: not compared. ``mark_development``: keep the cloud from flashing it
    meanwhile. ``limits`` go before the defaults; ``give_up_s`` likewise.
    """

    only: tuple[Stage, ...] = ()
    without: frozenset[Stage] = frozenset()
    restart: bool = True
    first_connection: bool = False
    wifi: WifiCredentials | None = None
    event_prefix: str | None = None
    function: FunctionProbe | None = None
    variable: VariableProbe | None = None
    ota_version: int | None = None
    ota_size_bytes: int = 0
    expected_version: int | None = None
    expected_device_os: str | None = None
    expected_app_sha256: str | None = None
    mark_development: bool = False
    limits: Mapping[str, Limit] = field(default_factory=dict)
    give_up_s: Mapping[Stage, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ConnectivityPlan:
    """A test that could begin. ``left_out`` says why a stage of the table is not part of it."""

    strategy: Strategy
    radio: Radio
    stages: tuple[Stage, ...]
    left_out: Mapping[Stage, str]
    options: ConnectivityOptions
    cost: Cost
    """The most it can cost."""

    def limit_of(self, name: str) -> Limit:
        """The limit of a measured value."""
        return self.options.limits.get(name) or DEFAULT_LIMITS[self.radio].get(name, Limit())

    def give_up_s(self, stage: Stage) -> float:
        """After how many seconds a stage is given up."""
        if stage in self.options.give_up_s:
            return self.options.give_up_s[stage]
        if stage is Stage.NETWORK and self.options.first_connection and self.radio is Radio.CELLULAR:
            return FIRST_REGISTRATION_S
        return SPECS[stage].give_up_s

    @property
    def asks_preconditions(self) -> bool:
        """Whether the conditions before are wanted. Without them strategy C has the hold in listening mode alone."""
        wanted = self.options.only or (Stage.PRECONDITIONS,)
        return Stage.PRECONDITIONS in wanted and (
            Stage.PRECONDITIONS not in self.options.without or Stage.PRECONDITIONS in self.options.only
        )

    @property
    def connects(self) -> bool:
        """Whether the board goes online."""
        return self.strategy is not Strategy.C


def radio_of(platform: Platform) -> Radio:
    """The radio by which a board of this kind is tested. Raises ConnectivityError for one that has none."""
    for radio in (Radio.CELLULAR, Radio.WIFI):
        if radio in platform.features:
            return radio
    raise ConnectivityError(
        f"{platform.display_name} has neither cellular nor Wi-Fi", hint="there is no connectivity test for this kind"
    )


def make_plan(platform: Platform, strategy: Strategy, options: ConnectivityOptions) -> ConnectivityPlan:
    """The stages for a kind of board. Raises ConnectivityError when a stage is asked for that it cannot have, or
    for Wi-Fi credentials that it could not take, or not forget."""
    radio = radio_of(platform)
    if options.wifi is not None and (radio is not Radio.WIFI or platform.generation <= 2):
        why = "has no Wi-Fi to connect by" if radio is not Radio.WIFI else "cannot forget a single network again"
        raise ConnectivityError(
            f"{platform.display_name} {why}", hint="store the network on the board before, and leave --wifi-ssid out"
        )
    left_out = {s.stage: why for s in STAGES if (why := _why_not(s.stage, radio, strategy, options))}
    impossible = [stage for stage in options.only if stage in left_out]
    if impossible:
        raise ConnectivityError(
            f"stage {impossible[0]} is not possible here: {left_out[impossible[0]]}",
            hint="leave it out, or give what it needs",
        )
    for spec in STAGES:
        if spec.stage not in left_out and options.only and spec.stage not in options.only:
            left_out[spec.stage] = "not asked for"
        elif spec.stage in options.without and spec.stage not in options.only:
            left_out[spec.stage] = "left out on demand"
    # What a test has set it takes back, asked or not.
    left_out.pop(Stage.RESTORE, None)
    if strategy is Strategy.C:
        # It begins with the hold in listening mode, without which a board might connect in any of the others.
        left_out.pop(Stage.PRECONDITIONS, None)
    stages = tuple(s.stage for s in STAGES if s.stage not in left_out)
    return ConnectivityPlan(strategy, radio, stages, left_out, options, _cost(stages, radio, strategy, options))


def _why_not(stage: Stage, radio: Radio, strategy: Strategy, options: ConnectivityOptions) -> str:
    spec = SPECS[stage]
    if radio not in spec.radios:
        return f"there is none on a {radio} board"
    if strategy not in spec.strategies:
        return f"strategy {strategy} never connects"
    if stage is Stage.VARIABLE and options.variable is None:
        return "no variable was named"
    if stage is Stage.OTA and options.ota_version is None:
        return "no version to send over the air was named"
    if stage is Stage.OTA and strategy is not Strategy.A:
        return "updates over the air are a product's, which is strategy A"
    return ""


def _cost(stages: Sequence[Stage], radio: Radio, strategy: Strategy, options: ConnectivityOptions) -> Cost:
    if strategy is Strategy.C:
        return NOTHING_SPENT
    echoes = [NONCE_BYTES] * ((Stage.PUBLISH in stages) + (Stage.SUBSCRIBE in stages))
    # A nonce that fell into a gap of the stream is sent once more.
    return cost_of_test(
        publishes_bytes=[*echoes, *([NONCE_BYTES] if Stage.PUBLISH in stages else [])],
        received_bytes=[NONCE_BYTES] if Stage.SUBSCRIBE in stages else [],
        functions=2 * (Stage.FUNCTION in stages),
        variables=2 * (Stage.VARIABLE in stages),
        connections=1 + (Stage.OTA in stages),
        ota_bytes=options.ota_size_bytes if Stage.OTA in stages else 0,
        online_s=60,
        is_cellular=radio is Radio.CELLULAR,
    )
