import subprocess
import sys
from typing import Any

import pytest

from envs.errors import InputError
from worldmodels.configs import EnsembleConfig, FitConfig


@pytest.mark.parametrize(
    ("make", "settings", "named"),
    [
        (EnsembleConfig, {"num_members": 0}, "num_members"),
        (EnsembleConfig, {"num_elites": 6}, "num_elites"),
        (EnsembleConfig, {"hidden": ()}, "hidden"),
        (EnsembleConfig, {"termination_hidden": (8, 0)}, "termination_hidden"),
        (EnsembleConfig, {"propagation": "median"}, "propagation"),
        (EnsembleConfig, {"termination_inputs": "all"}, "termination_inputs"),
        (EnsembleConfig, {"log_variance_bounds": (1.0, 1.0)}, "log_variance_bounds"),
        (FitConfig, {"seed": -1}, "seed"),
        (FitConfig, {"num_updates": 0}, "num_updates"),
        (FitConfig, {"learning_rate": 0.0}, "learning_rate"),
        (FitConfig, {"weight_decay": -1.0}, "weight_decay"),
        (FitConfig, {"validation_fraction": 0.6, "test_fraction": 0.5}, "validation_fraction"),
    ],
)
def test_a_wrong_setting_is_named(make: type, settings: dict[str, Any], named: str) -> None:
    with pytest.raises(InputError, match=named):
        make(**settings)


@pytest.mark.parametrize(
    ("num_updates", "every", "looks", "apart"), [(3000, 100, 30, 100), (150, 100, 2, 75), (7, 100, 1, 7)]
)
def test_looks_are_evenly_spaced_and_within_the_updates(num_updates: int, every: int, looks: int, apart: int) -> None:
    config = FitConfig(num_updates=num_updates, validate_every=every)
    assert (config.num_looks, config.updates_per_look) == (looks, apart)


def test_configs_import_nothing_heavy() -> None:
    code = "import sys, worldmodels.configs; print([m for m in ('torch', 'numpy', 'gymnasium') if m in sys.modules])"
    ran = subprocess.run(
        [sys.executable, "-S", "-c", f"import sys; sys.path = {sys.path!r}; {code}"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert ran.stdout.strip() == "[]"
