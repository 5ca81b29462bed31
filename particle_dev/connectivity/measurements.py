"""Measured values with units, and the limits that judge them.

Source of the defaults: particle-iot/docs cellular-connectivity-troubleshooting-guide.md (signal), device-os v6.2.0
user/tests/integration/slo/connect_time (60 s); the rest are proposals.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from particle_dev.cloud.gate import Radio


class Judgement(StrEnum):
    """Of a value against its limits. A warning does not fail a stage."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Limit:
    """``min`` and ``max`` (inclusive) fail, ``warn_min`` and ``warn_max`` warn; None: no bound."""

    min: float | None = None
    max: float | None = None
    warn_min: float | None = None
    warn_max: float | None = None

    def judge(self, value: float) -> Judgement:
        """How good a value is."""
        if _outside(value, self.min, self.max):
            return Judgement.FAILED
        return Judgement.WARNING if _outside(value, self.warn_min, self.warn_max) else Judgement.OK


def limit_text(limit: Limit) -> str:
    """``at least -120, warning below -85``; empty without limits."""
    parts = [
        f"{word} {bound:g}"
        for word, bound in (
            ("at least", limit.min),
            ("at most", limit.max),
            ("warning below", limit.warn_min),
            ("warning above", limit.warn_max),
        )
        if bound is not None
    ]
    return ", ".join(parts)


@dataclass(frozen=True, slots=True)
class Measurement:
    """One value in ``unit`` (``s``, ``dBm``, ``dB``, ``%``, or ``count``)."""

    name: str
    value: float
    unit: str
    limit: Limit = Limit()

    @property
    def judgement(self) -> Judgement:
        """How good it is."""
        return self.limit.judge(self.value)

    def __str__(self) -> str:
        return f"{self.name} {self.value:g} {self.unit}"


CONNECT_TIME, SIGNAL_STRENGTH, SIGNAL_QUALITY, SIGNAL_PERCENT = (
    "connect_time", "signal_strength", "signal_quality", "signal_percent",
)  # fmt: skip
ROUND_TRIP, CLOUD_DISCONNECTS, RATE_LIMITED = "round_trip", "cloud_disconnects", "rate_limited"
_COMMON: Mapping[str, Limit] = {
    CONNECT_TIME: Limit(max=600, warn_max=60),
    SIGNAL_PERCENT: Limit(warn_min=20),
    ROUND_TRIP: Limit(warn_max=5),
    CLOUD_DISCONNECTS: Limit(max=0),
    RATE_LIMITED: Limit(max=0),
}
DEFAULT_LIMITS: Mapping[Radio, Mapping[str, Limit]] = {
    Radio.CELLULAR: {**_COMMON, SIGNAL_STRENGTH: Limit(min=-120, warn_min=-85), SIGNAL_QUALITY: Limit(min=-15.99)},
    Radio.WIFI: {**_COMMON, SIGNAL_STRENGTH: Limit(warn_min=-80)},
}
"""By radio. The quality of Wi-Fi is a distance from noise, for which nobody gives a limit."""

MEASURED = tuple(sorted({name for limits in DEFAULT_LIMITS.values() for name in limits}))
"""Values that have a limit, or can be given one."""


@dataclass(frozen=True, slots=True)
class SignalSample:
    """One reading; ``at_s`` seconds since the test began. Values that the board did not tell are None."""

    at_s: float
    strength_dbm: float | None
    quality_db: float | None
    percent: float | None


def signal_of(diagnostics: Mapping[str, int], at_s: float) -> SignalSample | None:
    """The signal in an answer to control request 100; None when there is none. Percent are unsigned Q8.8, values signed
    Q16.16. Source: device-os v6.2.0 system/src/system_network_diagnostics.cpp."""
    strength, quality = diagnostics.get("net:sigstrv"), diagnostics.get("net:sigqualv")
    percent = diagnostics.get("net:sigstr")
    if strength is None and quality is None and percent is None:
        return None
    return SignalSample(
        at_s,
        None if strength is None else round(strength / 65536, 1),
        None if quality is None else round(quality / 65536, 1),
        None if percent is None else round(percent / 256, 1),
    )


def _outside(value: float, low: float | None, high: float | None) -> bool:
    return (low is not None and value < low) or (high is not None and value > high)
