"""tests/contract/upgrade.py on the bench of this run."""

from tests.contract.upgrade import *  # noqa: F403
