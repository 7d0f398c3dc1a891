"""rlax, which equations and losses are checked against; its import warns of what its own needs deprecated."""

import warnings
from types import ModuleType

import pytest


@pytest.fixture(scope="session")
def rlax() -> ModuleType:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import rlax
    return rlax
