"""tests/contract/selftest.py on the bench of this run."""

from tests.contract.selftest import *  # noqa: F403
