"""What a recipe says of second goes at a unit and of slots that do no good: tables [retries] and [slots]. TOML::

[retries]                   # optional; without it a unit gets one go
attempts = 2                # goes at a unit, in all
pause_s = 2                 # in between
errors = ["TransportError"] # optional: after which errors, by name; those below them in the tree count too

[slots]                     # optional, and so is each line: when a slot is taken out of use
lock_after_failures = 3     # units in a row
lock_below_yield = 0.8      # passed units of the last yield_units (20)
yield_units = 20
lock_at_drift = 0.3         # slower than it was at first by this share
golden_every_units = 200    # then a golden unit ([bench] golden) has to pass in it
warn_at_insertions = 10000  # contacts wear out: the operator is told
"""

from __future__ import annotations

from dataclasses import dataclass

from particle_dev import errors
from particle_dev.toml_file import TomlTable, suggestion

DEFAULT_RETRY_ERRORS = ("TransportError", "DeviceNotFoundError", "DeviceModeError", "StepTimeoutError", "ProtocolError")
"""What a cable, a hub or a slow port can cause."""
MOST_ATTEMPTS = 10
KEPT_UNITS = 100
"""Outcomes that are kept of a slot; a rule that looks at more would never hold."""
_NEVER_RETRIED = (
    errors.JournalError,
    errors.PermissionMissingError,
    errors.BillingGuardError,
    errors.BillingUnprovenError,
    errors.WrongDeviceError,
    errors.StationStoppedError,
)


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often a unit is tried, and after which errors (names in :mod:`particle_dev.errors`)."""

    attempts: int = 1
    pause_s: float = 2.0
    errors: tuple[str, ...] = DEFAULT_RETRY_ERRORS

    def allows(self, error_name: str) -> bool:
        """Whether a unit that ended with this error may be tried again."""
        found = getattr(errors, error_name, None)
        if not isinstance(found, type) or issubclass(found, _NEVER_RETRIED):
            return False
        return issubclass(found, tuple(getattr(errors, name) for name in self.errors))


@dataclass(frozen=True, slots=True)
class SlotRules:
    """When a slot is locked; None: never for that reason. ``lock_below_yield`` and ``lock_at_drift`` are shares."""

    lock_after_failures: int | None = None
    lock_below_yield: float | None = None
    yield_units: int = 20
    lock_at_drift: float | None = None
    golden_every_units: int | None = None
    warn_at_insertions: int | None = None


def read_retries(root: TomlTable) -> RetryPolicy:
    """The table [retries] of a recipe. Raises ConfigError with its line."""
    table, default = root.table("retries", required=False), RetryPolicy()
    table.allow_only(["attempts", "pause_s", "errors"])
    names = table.values.get("errors", list(default.errors))
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise table.error("errors", "retries.errors must be a list of texts", hint='such as ["TransportError"]')
    known = {n: v for n, v in vars(errors).items() if isinstance(v, type) and issubclass(v, errors.ParticleDevError)}
    possible = [name for name, value in known.items() if not issubclass(value, _NEVER_RETRIED)]
    for index, name in enumerate(names):
        if name not in possible:
            what = "is never tried again" if name in known else "is no error"
            raise table.item_error("errors", index, f"{name!r} {what}", hint=suggestion(name, possible))
    attempts = _count(table, "attempts", default.attempts) or default.attempts
    if attempts > MOST_ATTEMPTS:
        raise table.error("attempts", f"retries.attempts is {attempts}", hint=f"at most {MOST_ATTEMPTS}")
    return RetryPolicy(attempts, table.seconds("pause_s", default.pause_s), tuple(names))


def read_slot_rules(root: TomlTable) -> SlotRules | None:
    """The table [slots] of a recipe; None: there is none. Raises ConfigError with its line."""
    if "slots" not in root.values:
        return None
    table, default = root.table("slots"), SlotRules()
    table.allow_only(SlotRules.__dataclass_fields__)
    return SlotRules(
        lock_after_failures=_count(table, "lock_after_failures", most=KEPT_UNITS),
        lock_below_yield=_share(table, "lock_below_yield"),
        yield_units=_count(table, "yield_units", default.yield_units, KEPT_UNITS) or default.yield_units,
        lock_at_drift=_share(table, "lock_at_drift"),
        golden_every_units=_count(table, "golden_every_units"),
        warn_at_insertions=_count(table, "warn_at_insertions"),
    )


def _count(table: TomlTable, key: str, default: int | None = None, most: int | None = None) -> int | None:
    value = table.values.get(key, default)
    if type(value) is int and most is not None and value > most:
        name = f"{table.key_path[0]}.{key}"
        raise table.error(key, f"{name} is {value}: it would never hold", hint=f"a slot is known by {most} units")
    if value is not None and (type(value) is not int or value < 1):
        name = f"{table.key_path[0]}.{key}"
        raise table.error(key, f"{name} must be a whole number above 0, not {value!r}", hint=f"such as {key} = 3")
    return value


def _share(table: TomlTable, key: str) -> float | None:
    value = table.values.get(key)
    if value is not None and (type(value) is not float or not 0 < value < 1):
        name = f"{table.key_path[0]}.{key}"
        raise table.error(key, f"{name} must be between 0.0 and 1.0, not {value!r}", hint=f"such as {key} = 0.5")
    return value
