"""tests/contract/connectivity.py on the bench of this run."""

from tests.contract.connectivity import *  # noqa: F403
