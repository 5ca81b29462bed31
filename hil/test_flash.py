"""tests/contract/flash.py on the bench of this run."""

from tests.contract.flash import *  # noqa: F403
