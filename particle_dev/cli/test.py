"""``particle-dev test``."""

from __future__ import annotations

from particle_dev.cli.lazy_group import lazy_group

_COMMANDS = {"connectivity": "particle_dev.cli.test_connectivity:test_connectivity"}


@lazy_group(_COMMANDS)
def test() -> None:
    """Test units as their users will meet them."""
