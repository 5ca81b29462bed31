"""tests/contract/identify.py on the bench of this run."""

from tests.contract.identify import *  # noqa: F403
