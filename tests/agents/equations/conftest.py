"""rlax, which the equations are checked against; its import warns of what its own dependencies deprecated."""

import warnings
from types import ModuleType

import pytest


@pytest.fixture(scope="session")
def rlax() -> ModuleType:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import rlax
    return rlax
