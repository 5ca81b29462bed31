"""tests/contract/ship.py on the bench of this run."""

from tests.contract.ship import *  # noqa: F403
