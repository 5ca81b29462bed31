"""Every error of particle-dev, grouped by who can act on it.

    ParticleDevError
    ├── FormatError                 bytes are not what their format says
    │   └── ModuleFormatError         … of a firmware module: file, offset, code
    ├── ProtocolError               the other side broke its own protocol
    │   ├── ControlProtocolError      … of USB control requests
    │   ├── DfuProtocolError          … of DFU/DfuSe: state, status, address
    │   └── ConsoleProtocolError      … of the listening-mode console: what was received, without secrets
    ├── TransportError              the medium failed
    │   ├── LinkTimeoutError          … no answer in time
    │   ├── LinkStallError            … the endpoint answered STALL
    │   ├── LinkDisconnectedError     … the device left the bus
    │   └── LinkAccessError           … the operating system refused access
    ├── DeviceError                 the device, or the choice of device
    │   ├── DeviceNotFoundError
    │   ├── DeviceAmbiguousError      … more than one matches
    │   ├── WrongDeviceError          … another Device ID than expected
    │   ├── DeviceModeError           … not in the mode the act needs
    │   ├── ChipLockedError           … its debug port is closed; opening it erases everything
    │   └── RequestRefusedError       … result code of a control request
    │       └── RequestUnsupportedError … not sent, since this platform or Device OS does not know it
    ├── FlashError
    │   ├── PlanRefusedError          … reasons, before anything is erased
    │   ├── FlashRangeError           … an address no plan may touch
    │   ├── VerifyError               … read-back differs: address, expected, actual
    │   └── UpdateNotAppliedError     … the device was to install a module and does not have it: expected, actual
    ├── FirmwareStoreError          store, download or index
    ├── CloudError                  what the Particle cloud does not take
    │   └── ProductVersionError       … a version for a product
    ├── StationError
    │   ├── ConfigError               recipe or bench file: file, line, key
    │   ├── JournalError              journal or record cannot be written or read
    │   ├── BenchError                bench driver or slot
    │   ├── StepTimeoutError          a step took longer than the recipe allows
    │   ├── StationStoppedError       the operator stopped the run
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


class DeviceError(ParticleDevError):
    """The device, or the choice of device."""


class ChipLockedError(DeviceError):
    """The chip's debug port is protected; ``where`` names the probe. Nothing was erased."""

    def __init__(self, message: str, *, where: str, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.where = where


class DeviceNotFoundError(DeviceError):
    """No device matches; ``selector`` is what was asked for."""

    def __init__(self, message: str, *, selector: str | None = None, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.selector = selector


class DeviceAmbiguousError(DeviceError):
    """Several devices match and none may be guessed; ``candidates`` lists their Device IDs."""

    def __init__(self, message: str, *, candidates: Sequence[str], hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.candidates = tuple(candidates)


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
    """What the Particle cloud does not take, known without asking it."""


class ProductVersionError(CloudError):
    """A product cannot take firmware under this ``version``: it is taken, or not higher than those it has."""

    def __init__(self, message: str, *, version: int | None = None, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.version = version


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


class BenchError(StationError):
    """A bench driver or one of its slots; ``slot`` is the slot's name."""

    def __init__(self, message: str, *, slot: str | None = None, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.slot = slot


class StepTimeoutError(StationError):
    """A step exceeded the recipe's limit of ``limit_s`` seconds."""

    def __init__(self, message: str, *, step: str, limit_s: float, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.step = step
        self.limit_s = limit_s


class StationStoppedError(StationError):
    """The operator stopped the run; the unit is left as it is and resumes with the next one."""


class RunFinishedError(StationError):
    """The folder holds a run in which every unit has passed; nothing was done."""


class PermissionMissingError(ParticleDevError):
    """The act could lock, bill or destroy and the caller holds no permission for it."""

    def __init__(self, message: str, *, permission: str, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.permission = permission
