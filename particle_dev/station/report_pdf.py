"""A report as PDF, by the Chromium or Chrome of this computer: what is printed is what the page looks like.

A browser is what a station has anyway, and the only renderer that treats the page like the one people see. It runs
without network and profile, as a process that ends with the job.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from particle_dev.errors import JournalError

BROWSERS = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome", "chrome", "msedge")
_TIMEOUT_S = 120.0


def can_print() -> bool:
    """Whether there is a browser here to make a PDF."""
    return any(shutil.which(name) for name in BROWSERS)


def html_to_pdf(html: bytes, *, timeout_s: float = _TIMEOUT_S) -> bytes:
    """The page as PDF. JournalError: there is no browser here, or it did not print in ``timeout_s``."""
    browser = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if browser is None:
        raise JournalError("there is no Chromium or Chrome here to make a PDF", hint=_HINT)
    with tempfile.TemporaryDirectory() as folder:
        page, printed = Path(folder, "report.html"), Path(folder, "report.pdf")
        page.write_bytes(html)
        command = [browser, *_options(Path(folder, "profile")), f"--print-to-pdf={printed}", page.as_uri()]
        try:
            done = subprocess.run(command, capture_output=True, timeout=timeout_s, check=False)
        except subprocess.TimeoutExpired as error:
            raise JournalError(f"{browser} did not print within {timeout_s:.0f} s", hint=_HINT) from error
        except OSError as error:
            raise JournalError(f"{browser} cannot be run: {error.strerror}", hint=_HINT) from error
        content = printed.read_bytes() if printed.is_file() else b""
        if not content.startswith(b"%PDF"):
            last = (done.stderr.decode("utf-8", "replace").strip().splitlines() or ["nothing was told"])[-1]
            raise JournalError(f"{browser} printed nothing: {last}", hint=_HINT)
        return content


_HINT = "install Debian's package chromium, or open the HTML report and print it"


def _options(profile: Path) -> list[str]:
    options = [
        "--headless",
        "--disable-gpu",
        "--disable-extensions",
        "--disable-background-networking",
        "--disable-dev-shm-usage",
        "--no-first-run",
        "--no-pdf-header-footer",
        "--host-resolver-rules=MAP * ~NOTFOUND",
        f"--user-data-dir={profile}",
    ]
    # Chromium refuses its sandbox to root. The page is our own, and holds no script.
    return [*options, "--no-sandbox"] if getattr(os, "geteuid", lambda: 1)() == 0 else options
