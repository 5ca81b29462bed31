"""tests/contract/recover.py on the bench of this run."""

from tests.contract.recover import *  # noqa: F403
