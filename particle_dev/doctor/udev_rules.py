"""The udev rules file that comes with particle-dev: is it there, and putting it there."""

from __future__ import annotations

import subprocess
from importlib.resources import files
from pathlib import Path

from particle_dev.errors import LinkAccessError, TransportError

RULES_NAME = "70-particle-dev.rules"
INSTALL_COMMAND = "sudo $(command -v particle-dev) doctor --install"
"""sudo looks for programs in places of its own, which a virtual environment is not among."""
_FOLDERS = ("etc/udev/rules.d", "run/udev/rules.d", "usr/local/lib/udev/rules.d", "usr/lib/udev/rules.d")
"""In the order in which a file of one name hides another. Source: udev(7)."""
_OTHERS = "*particle*.rules"


def rules_text() -> str:
    """The rules that this version ships."""
    return files(__package__).joinpath(RULES_NAME).read_text(encoding="utf-8")


def installed_rules(root: Path) -> tuple[Path, bool] | None:
    """The rules file in force and whether it is that of this version; None when there is none."""
    for folder in _FOLDERS:
        path = root / folder / RULES_NAME
        if path.is_file():
            return path, path.read_text(encoding="utf-8", errors="replace") == rules_text()
    return None


def other_rules(root: Path) -> tuple[Path, ...]:
    """Rules files of other Particle tools."""
    found = [p for folder in _FOLDERS for p in (root / folder).glob(_OTHERS) if p.name != RULES_NAME]
    return tuple(found)


def install_rules(root: Path = Path("/")) -> Path:
    """Write the rules file, and let udev read it and apply it to what is plugged in. Returns where it lies.

    Raises LinkAccessError when this user may not, TransportError when udev does not take it.
    """
    path = root / _FOLDERS[0] / RULES_NAME
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(rules_text(), encoding="utf-8")
        path.chmod(0o644)
    except OSError as error:
        raise LinkAccessError(
            f"{path} cannot be written: {error.strerror}", where=str(path), hint=f"type: {INSTALL_COMMAND}"
        ) from error
    for command in (
        ["udevadm", "control", "--reload"],
        ["udevadm", "trigger", "--subsystem-match=usb", "--action=add"],
    ):
        try:
            subprocess.run(command, check=True, capture_output=True, text=True, timeout=30)
        except (OSError, subprocess.SubprocessError) as error:
            said = getattr(error, "stderr", None) or str(error)
            raise TransportError(
                f"{path} is written, but `{' '.join(command)}` failed: {said.strip()}",
                where=str(path),
                hint="start the computer anew, or unplug the boards once udev runs",
            ) from error
    return path
