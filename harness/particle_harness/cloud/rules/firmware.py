"""Which product firmware a device gets when it comes online.

Source: particle-iot/docs src/content/getting-started/cloud/ota-updates.md, reference/cloud-apis/api.md (lock, release,
development devices; the match is by equality of versions).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import NamedTuple


class Release(NamedTuple):
    """A version, and who it is released to."""

    version: int
    product_default: bool
    groups: tuple[str, ...]


def target_version(
    releases: Iterable[Release],
    *,
    is_member: bool,
    development: bool,
    desired: int | None,
    groups: Collection[str],
) -> int | None:
    """The version that the cloud wants the device to run; None: it does not care."""
    if not is_member or development:
        return None
    if desired is not None:
        return desired
    releases = tuple(releases)
    for_groups = [r.version for r in releases if set(r.groups) & set(groups)]
    if for_groups:
        return max(for_groups)
    return next((r.version for r in releases if r.product_default), None)


def must_update(target: int | None, reported: int) -> bool:
    """Whether the device runs something else; older or newer does not matter."""
    return target is not None and target != reported
