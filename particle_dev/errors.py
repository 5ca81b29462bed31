"""Every error of particle-dev, grouped by who can act on it.

    ParticleDevError
    ├── FormatError                 bytes are not what their format says
    │   └── ModuleFormatError         … of a firmware module: file, offset, code
    ├── ProtocolError               the other side broke its own protocol
    │   ├── ControlProtocolError      … of USB control requests
    │   ├── DfuProtocolError          … of DFU/DfuSe: state, status, address
    │   ├── ConsoleProtocolError      … of the listening-mode console: what was received, without secrets
    │   └── SelfTestProtocolError     … of the self-test service on a board: what was received
    ├── TransportError              the medium failed
    │   ├── LinkTimeoutError          … no answer in time
    │   ├── LinkStallError            … the endpoint answered STALL
    │   ├── LinkDisconnectedError     … the device left the bus
    │   ├── LinkAccessError           … the operating system refused access
    │   ├── LinkUnreachableError      … no connection came about, so nothing was sent
    │   └── PowerSwitchError          … a power switch did not switch, or does not say so
    ├── DeviceError                 the device, or the choice of device
    │   ├── DeviceNotFoundError
    │   ├── DeviceAmbiguousError      … more than one matches
    │   ├── WrongDeviceError          … another Device ID than expected
    │   ├── DeviceModeError           … not in the mode the act needs
    │   │   └── NoWayToModeError        … no act leads from its present mode into that one; nothing was sent
    │   ├── ChipLockedError           … its debug port is closed; opening it erases everything
    │   ├── LoaderRefusedError        … a chip's ROM loader refused a command: where, result
    │   └── RequestRefusedError       … result code of a control request
    │       └── RequestUnsupportedError … not sent, since this platform or Device OS does not know it
    ├── FlashError
    │   ├── PlanRefusedError          … reasons, before anything is erased
    │   ├── FlashRangeError           … an address no plan may touch
    │   ├── VerifyError               … read-back differs: address, expected, actual
    │   ├── FlashHashError            … the chip computes another hash than the file has: address, size
    │   └── UpdateNotAppliedError     … the device was to install a module and does not have it: expected, actual
    ├── FirmwareStoreError          store, download or index
    ├── CloudError                  the Particle cloud refused, failed, or would not take it
    │   ├── ProductVersionError       … a version for a product
    │   ├── CloudReplyError           … an answer that is not what the API promises: no JSON, cut off, a wrong field
    │   ├── CloudRefusedError         … an answer of 4xx: status, code, place
    │   │   ├── CloudAuthError          … no token, a wrong or an expired one, a wrong password
    │   │   │   └── MfaRequiredError      … the account wants a one-time password too
    │   │   ├── CloudDeniedError        … the token may not do this: somebody else's device or product
    │   │   │   └── ScopeMissingError     … scopes of an API user, found out before the job began
    │   │   └── CloudNotFoundError      … no such device, product, SIM, function, variable
    │   ├── CloudDeviceTimeoutError   … the cloud works, the device did not answer it
    │   ├── CloudLimitError           … a rate limit, kept here or met there: limit, seconds to wait
    │   ├── CloudServerError          … an answer of 5xx
    │   ├── ImportStateError          … what an import remembers: path, line
    │   ├── EventSourceError          … events cannot come from where they were asked for
    │   ├── BillingGuardError         the billing guard refuses; nothing was done
    │   │   ├── CapacityError           … more devices than the plan allows: devices, limit
    │   │   ├── BudgetError             … beyond 90 % of a budget: resource, spent, wanted, limit
    │   │   ├── ActRefusedError         … an act out of the order of a test strategy: reasons, hazards
    │   │   └── GuardStateError         … its file cannot be read or written: path
    │   └── RemovalIncompleteError    … device or SIM not yet out of a product: remaining
    ├── ConnectivityError           a connectivity test cannot be made
    │   └── StageFailedError          … a stage of one failed: stage, code, what was seen, cause, next step
    ├── StationError
    │   ├── ConfigError               recipe or bench file: file, line, key
    │   ├── JournalError              journal or record cannot be written or read
    │   │   ├── RecordsAwayError          … the database server does not answer; journals keep the runs meanwhile
    │   │   └── RecordNotFoundError       … no unit or run of that name is in the records
    │   ├── ReleaseError              a signed release is not signed, altered, too large, or not to be trusted
    │   ├── BenchError                bench driver or slot
    │   │   └── SlotBusyError           … another station or test run works there
    │   ├── StepTimeoutError          a step took longer than the recipe allows
    │   ├── LabelMismatchError        another label was scanned than the unit's
    │   ├── BillingUnprovenError      the billing verdict of a unit is not what its recipe promises
    │   ├── StationStoppedError       the operator stopped the run
    │   ├── PageError                 the station's page cannot be served: address, certificate, users
    │   └── RunFinishedError          the folder holds a run that is finished
    └── PermissionMissingError      the caller holds no permission for an irreversible or billing act

Each carries its facts as attributes (``fields()``) and, where there is one, a ``hint``: what to do next.
"""

from __future__ import annotations

from collections.abc import Sequence


class ParticleDevError(Exception):
    """Root of the tree. ``hint`` says what to do next; ``fields()`` gives the facts for machines."""

    hint: str

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def fields(self) -> dict[str, object]:
        """Facts of this error by name, without message and hint."""
        return {k: v for k, v in vars(self).items() if k not in ("message", "hint") and v is not None}

    def __str__(self) -> str:
        return f"{self.message}; {self.hint}" if self.hint else self.message

    def __reduce__(self) -> tuple[object, ...]:
        # Constructors take keywords, which the default of exceptions cannot give: errors cross process borders.
        return _revive, (type(self), dict(vars(self)))


def _revive(kind: type[ParticleDevError], state: dict[str, object]) -> ParticleDevError:
    error = kind.__new__(kind, state["message"])
    error.__dict__.update(state)
    return error


class FormatError(ParticleDevError):
    """Bytes do not follow their format; ``file`` and ``offset`` (bytes from the start) where known."""

    def __init__(
        self,
        message: str,
        *,
        code: str = "",
        file: str | None = None,
        offset: int | None = None,
        hint: str = "",
    ) -> None:
        super().__init__(message, hint=hint)
        self.code = code
        self.file = file
        self.offset = offset

    def name_file(self, file: str) -> None:
        """Say which file this is about, in front of the message; an error that names one already stays as it is."""
        if self.file is None:
            self.file = file
            self.message = f"{file}: {self.message}"
            self.args = (self.message,)


class ModuleFormatError(FormatError):
    """A file is no intact firmware module. ``code`` is stable, e.g. ``crc_mismatch`` or ``truncated``."""


class ProtocolError(ParticleDevError):
    """The other side sent what its protocol does not allow."""


class ControlProtocolError(ProtocolError):
    """A control-request service reply was malformed or came in a state that does not allow it."""

    def __init__(self, message: str, *, request_type: int | None = None, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.request_type = request_type


class DfuProtocolError(ProtocolError):
    """DFU went to dfuERROR or to a state that does not follow.

    ``status`` and ``state`` are the bStatus and bState of GETSTATUS.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int | None = None,
        state: int | None = None,
        address: int | None = None,
        hint: str = "",
    ) -> None:
        super().__init__(message, hint=hint)
        self.status = status
        self.state = state
        self.address = address


class ConsoleProtocolError(ProtocolError):
    """The listening-mode console answered something else than its dialogue has. ``received`` is the text, redacted."""

    def __init__(self, message: str, *, received: str = "", hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.received = received


class SelfTestProtocolError(ProtocolError):
    """A board's self-test service answered what its protocol does not have. ``received`` is the beginning of it."""

    def __init__(self, message: str, *, received: str | None = None, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.received = received


class TransportError(ParticleDevError):
    """The medium between host and device failed. ``where`` names the port or node."""

    def __init__(self, message: str, *, where: str | None = None, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.where = where


class LinkTimeoutError(TransportError):
    """No answer before the deadline."""


class LinkStallError(TransportError):
    """The endpoint answered with a STALL handshake."""


class LinkDisconnectedError(TransportError):
    """The device left the bus in the middle of a transfer or before it."""


class LinkAccessError(TransportError):
    """The operating system refused access to the device."""


class LinkUnreachableError(TransportError):
    """No connection came about: nothing was sent, and trying again does nothing twice."""


class PowerSwitchError(TransportError):
    """A power switch of a bench did not switch, cannot be reached, or does not say that it did."""


class DeviceError(ParticleDevError):
    """The device, or the choice of device."""


class ChipLockedError(DeviceError):
    """The chip's debug port is protected; ``where`` names the probe. Nothing was erased."""

    def __init__(self, message: str, *, where: str, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.where = where


class LoaderRefusedError(DeviceError):
    """The ROM loader of a chip refused a command; ``result`` is its answer, ``where`` the port."""

    def __init__(self, message: str, *, where: str, result: str, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.where = where
        self.result = result


class DeviceNotFoundError(DeviceError):
    """No device matches; ``selector`` is what was asked for, ``devices`` are titles of those that are there."""

    def __init__(
        self, message: str, *, selector: str | None = None, devices: Sequence[str] = (), hint: str = ""
    ) -> None:
        super().__init__(message, hint=hint)
        self.selector = selector
        self.devices = tuple(devices)


class DeviceAmbiguousError(DeviceError):
    """Several devices match and none may be guessed; ``candidates`` lists Device IDs, ``devices`` titles."""

    def __init__(self, message: str, *, candidates: Sequence[str], devices: Sequence[str] = (), hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.candidates = tuple(candidates)
        self.devices = tuple(devices)


class WrongDeviceError(DeviceError):
    """Another board answers than the one expected (Device IDs in ``expected`` and ``actual``)."""

    def __init__(self, message: str, *, expected: str, actual: str, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.expected = expected
        self.actual = actual


class DeviceModeError(DeviceError):
    """The device is not in the mode that the act needs, or did not reach it in time."""

    def __init__(self, message: str, *, expected: str, actual: str | None = None, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.expected = expected
        self.actual = actual


class NoWayToModeError(DeviceModeError):
    """No act leads from the device's mode into the one asked for, or not by the way that was asked for. Nothing was
    sent that changes it."""


class RequestRefusedError(DeviceError):
    """The device answered a control request with a result code other than 0."""

    def __init__(self, message: str, *, request: str, result_code: int, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.request = request
        self.result_code = result_code


class RequestUnsupportedError(RequestRefusedError):
    """The request was not sent: the platform, or the Device OS release in ``device_os``, does not know it."""

    def __init__(self, message: str, *, request: str, device_os: str | None = None, hint: str = "") -> None:
        super().__init__(message, request=request, result_code=-120, hint=hint)
        self.device_os = device_os


class FlashError(ParticleDevError):
    """Planning or carrying out a flash."""


class PlanRefusedError(FlashError):
    """No plan was made and nothing was erased; ``reasons`` holds one sentence each."""

    def __init__(self, message: str, *, reasons: Sequence[str], hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.reasons = tuple(reasons)


class FlashRangeError(FlashError):
    """An erase or write outside the slots that may be touched."""

    def __init__(self, message: str, *, address: int, size_bytes: int, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.address = address
        self.size_bytes = size_bytes


class VerifyError(FlashError):
    """Read-back differs from what was written, first at ``address``."""

    def __init__(self, message: str, *, address: int, expected: int, actual: int, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.address = address
        self.expected = expected
        self.actual = actual


class FlashHashError(FlashError):
    """The hash that a chip computes of its flash is not that of the file, for ``size_bytes`` at ``address``."""

    def __init__(self, message: str, *, address: int, size_bytes: int, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.address = address
        self.size_bytes = size_bytes


class UpdateNotAppliedError(FlashError):
    """A module was handed to the device, which was to install it, and afterwards it is not there.

    ``expected`` and ``actual`` say what the device should and does report or hold.
    """

    def __init__(self, message: str, *, expected: str, actual: str, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.expected = expected
        self.actual = actual


class FirmwareStoreError(ParticleDevError):
    """The firmware store, its index or a download; ``path`` is the file or source concerned."""

    def __init__(self, message: str, *, path: str | None = None, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.path = path


class CloudError(ParticleDevError):
    """The Particle cloud refused, failed, or would not take it."""


class ProductVersionError(CloudError):
    """A product cannot take firmware under this ``version``: it is taken, or not higher than those it has."""

    def __init__(self, message: str, *, version: int | None = None, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.version = version


class CloudReplyError(CloudError):
    """An answer is not what the API promises. ``where`` is method and path; ``key`` the field concerned, if any.

    ``content_type`` tells an error page of a proxy from JSON.
    """

    def __init__(
        self,
        message: str,
        *,
        where: str,
        status: int | None = None,
        content_type: str | None = None,
        key: str | None = None,
        hint: str = "",
    ) -> None:
        super().__init__(message, hint=hint)
        self.where = where
        self.status = status
        self.content_type = content_type
        self.key = key


class CloudRefusedError(CloudError):
    """The cloud answered with ``status`` 4xx. ``where`` is method and path, ``code`` its own word for the reason."""

    def __init__(
        self,
        message: str,
        *,
        where: str | None = None,
        status: int | None = None,
        code: str | None = None,
        hint: str = "",
    ) -> None:
        super().__init__(message, hint=hint)
        self.where = where
        self.status = status
        self.code = code


class CloudAuthError(CloudRefusedError):
    """No access token, a wrong or an expired one, or a wrong password. Sending it again does not help."""


class MfaRequiredError(CloudAuthError):
    """The account has multi-factor authentication: log in again with a one-time password.

    ``mfa_token`` hides its value; it is what the second step of the login needs.
    """

    def __init__(self, message: str, *, mfa_token: object, where: str | None = None, hint: str = "") -> None:
        super().__init__(message, where=where, status=403, code="mfa_required", hint=hint)
        self.mfa_token = mfa_token

    def fields(self) -> dict[str, object]:
        """Facts without the token of the login that is under way."""
        return {k: v for k, v in super().fields().items() if k != "mfa_token"}


class CloudDeniedError(CloudRefusedError):
    """The token may not do this."""


class ScopeMissingError(CloudDeniedError):
    """An API user lacks the scopes in ``missing_scopes`` for a job, of which nothing was done."""

    def __init__(self, message: str, *, missing_scopes: Sequence[str], hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.missing_scopes = tuple(missing_scopes)


class CloudNotFoundError(CloudRefusedError):
    """There is no such device, product, SIM, function, variable or version for this token."""


class CloudDeviceTimeoutError(CloudError):
    """The cloud answered, the device did not: it is offline, or busy. ``where`` is method and path."""

    def __init__(self, message: str, *, where: str | None = None, status: int | None = None, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.where = where
        self.status = status


class CloudLimitError(CloudError):
    """A rate limit: ``limit`` is its name, ``wait_s`` the seconds until the next request is allowed.

    ``status`` is the cloud's answer (429 or 529); None when nothing was sent, since the limit is kept here.
    """

    def __init__(
        self, message: str, *, limit: str, wait_s: float | None = None, status: int | None = None, hint: str = ""
    ) -> None:
        super().__init__(message, hint=hint)
        self.limit = limit
        self.wait_s = wait_s
        self.status = status


class CloudServerError(CloudError):
    """The cloud, or a proxy before it, answered with ``status`` 5xx. Whether the act was done is not known."""

    def __init__(self, message: str, *, where: str | None = None, status: int | None = None, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.where = where
        self.status = status


class ImportStateError(CloudError):
    """What an import asked for and waits for cannot be read or written: file ``path``, ``line`` (1-based)."""

    def __init__(self, message: str, *, path: str, line: int | None = None, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.path = path
        self.line = line


class EventSourceError(CloudError):
    """Events cannot come from the source that was asked for; ``source`` names it."""

    def __init__(self, message: str, *, source: str, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.source = source


class BillingGuardError(CloudError):
    """The billing guard refuses an act, before anything was done."""


class CapacityError(BillingGuardError):
    """The account's plan has no room: ``devices`` it has (None: not known), ``limit`` it may have."""

    def __init__(self, message: str, *, devices: int | None, limit: int, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.devices = devices
        self.limit = limit


class BudgetError(BillingGuardError):
    """An act would use more of ``resource`` than is left: ``spent`` and ``wanted`` against ``limit``."""

    def __init__(self, message: str, *, resource: str, spent: int, wanted: int, limit: int, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.resource = resource
        self.spent = spent
        self.wanted = wanted
        self.limit = limit


class ActRefusedError(BillingGuardError):
    """A test strategy does not allow ``act`` now, for ``reasons``; ``hazards`` are what it prevents (H1 to H20)."""

    def __init__(
        self,
        message: str,
        *,
        strategy: str,
        act: str,
        reasons: Sequence[str],
        hazards: Sequence[str],
        hint: str = "",
    ) -> None:
        super().__init__(message, hint=hint)
        self.strategy = strategy
        self.act = act
        self.reasons = tuple(reasons)
        self.hazards = tuple(hazards)


class GuardStateError(BillingGuardError):
    """What the guard remembers of devices and budgets cannot be read or written: file ``path``."""

    def __init__(self, message: str, *, path: str, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.path = path


class RemovalIncompleteError(CloudError):
    """A device or its SIM is not out of the product yet, so it is to be taken for billable: steps in ``remaining``."""

    def __init__(self, message: str, *, device_id: str, remaining: Sequence[str], hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.device_id = device_id
        self.remaining = tuple(str(step) for step in remaining)


class ConnectivityError(ParticleDevError):
    """A connectivity test cannot be made as it was asked for."""


class StageFailedError(ConnectivityError):
    """A stage of a connectivity test failed. ``code`` is of ``particle_dev.connectivity.failures``; ``seen`` what was
    observed; ``hint`` is for the operator, ``engineer_hint`` for who looks into it."""

    def __init__(
        self,
        message: str,
        *,
        stage: str,
        code: str,
        seen: str,
        cause: str,
        engineer_hint: str,
        next_step: str,
        hint: str = "",
    ) -> None:
        super().__init__(message, hint=hint)
        self.stage = stage
        self.code = code
        self.seen = seen
        self.cause = cause
        self.engineer_hint = engineer_hint
        self.next_step = next_step


class StationError(ParticleDevError):
    """Station, bench or record."""


class ConfigError(StationError):
    """A recipe or bench file cannot be used: ``file``, ``line`` (1-based) and ``key`` where known."""

    def __init__(
        self,
        message: str,
        *,
        file: str | None = None,
        line: int | None = None,
        key: str | None = None,
        hint: str = "",
    ) -> None:
        super().__init__(message, hint=hint)
        self.file = file
        self.line = line
        self.key = key


class JournalError(StationError):
    """A journal, record or report cannot be written or read."""

    def __init__(self, message: str, *, path: str | None = None, line: int | None = None, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.path = path
        self.line = line


class RecordsAwayError(JournalError):
    """The database of the records does not answer, or broke off. Journals keep the runs; they are recorded later."""


class RecordNotFoundError(JournalError):
    """The records hold no unit or run by this name."""


class ReleaseError(StationError):
    """A release file cannot be used: ``path``; ``code`` is stable, such as ``unsigned``, ``altered``, ``too_large``."""

    def __init__(self, message: str, *, path: str, code: str, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.path = path
        self.code = code


class BenchError(StationError):
    """A bench driver or one of its slots; ``slot`` is the slot's name, ``key`` that of the bench file which is wrong
    (``bench.options.clock``), where one is."""

    def __init__(self, message: str, *, slot: str | None = None, key: str | None = None, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.slot = slot
        self.key = key


class SlotBusyError(BenchError):
    """Another station or test run of this computer works on ``slot``; it ends with that run."""


class StepTimeoutError(StationError):
    """A step exceeded the recipe's limit of ``limit_s`` seconds."""

    def __init__(self, message: str, *, step: str, limit_s: float, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.step = step
        self.limit_s = limit_s


class LabelMismatchError(StationError):
    """The label that was scanned is not that of the unit, ``expected``; ``actual`` is the name that it says, None: it
    says none, or only its secret differs."""

    def __init__(self, message: str, *, expected: str, actual: str | None, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.expected = expected
        self.actual = actual


class BillingUnprovenError(StationError):
    """The gate's ``verdict`` on a unit is not what its strategy promises: ``missing`` evidence, or what proves a start
    in ``started_by``."""

    def __init__(
        self, message: str, *, verdict: str, missing: Sequence[str], started_by: Sequence[str], hint: str = ""
    ) -> None:
        super().__init__(message, hint=hint)
        self.verdict = verdict
        self.missing = tuple(missing)
        self.started_by = tuple(started_by)


class StationStoppedError(StationError):
    """The operator stopped the run; the unit is left as it is and resumes with the next one."""


class PageError(StationError):
    """The station's page cannot be served where and how it was asked for; no board was touched."""


class RunFinishedError(StationError):
    """The folder holds a run in which every unit has passed; nothing was done."""


class PermissionMissingError(ParticleDevError):
    """The act could lock, bill or destroy and the caller holds no permission for it."""

    def __init__(self, message: str, *, permission: str, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.permission = permission
