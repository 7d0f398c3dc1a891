import subprocess
import sys

import pytest

from envs.errors import InputError
from planners.configs import (
    CEMConfig,
    GradientConfig,
    ICEMConfig,
    MCTSConfig,
    MPPIConfig,
    RandomShootingConfig,
    RiskConfig,
)


@pytest.mark.parametrize(
    ("config", "wrong"),
    [
        (RandomShootingConfig, {"horizon": 0}),
        (RandomShootingConfig, {"num_sequences": 0}),
        (RandomShootingConfig, {"choose": "median"}),
        (RandomShootingConfig, {"discount": 0.0}),
        (RandomShootingConfig, {"discount": float("nan")}),
        (CEMConfig, {"hold": 0}),
        (CEMConfig, {"num_sequences": 1}),
        (CEMConfig, {"iterations": 0}),
        (CEMConfig, {"elite_fraction": 1.5}),
        (CEMConfig, {"elite_fraction": 0.0}),
        (CEMConfig, {"smoothing": 1.0}),
        (CEMConfig, {"initial_std": 0.0}),
        (CEMConfig, {"min_std": -0.1}),
        (CEMConfig, {"min_probability": 2.0}),
        (ICEMConfig, {"horizon": 0}),
        (ICEMConfig, {"num_sequences": 1}),
        (ICEMConfig, {"iterations": 0}),
        (ICEMConfig, {"elite_fraction": 1.1}),
        (ICEMConfig, {"kept_fraction": -0.1}),
        (ICEMConfig, {"decay": 0.9}),
        (ICEMConfig, {"noise_exponent": -1.0}),
        (ICEMConfig, {"smoothing": 1.0}),
        (ICEMConfig, {"initial_std": 0.0}),
        (ICEMConfig, {"min_std": -0.1}),
        (ICEMConfig, {"min_probability": 2.0}),
        (ICEMConfig, {"act_on": "worst"}),
        (MPPIConfig, {"num_sequences": 1}),
        (MPPIConfig, {"iterations": 0}),
        (MPPIConfig, {"temperature": 0.0}),
        (MPPIConfig, {"initial_std": float("inf")}),
        (MPPIConfig, {"std_decay": 1.5}),
        (MPPIConfig, {"control_cost": -1.0}),
        (MPPIConfig, {"noise_exponent": float("nan")}),
        (GradientConfig, {"num_sequences": 0}),
        (GradientConfig, {"iterations": 0}),
        (GradientConfig, {"learning_rate": 0.0}),
        (RiskConfig, {"num_particles": 0}),
        (RiskConfig, {"caution": -1.0}),
        (RiskConfig, {"uncertainty_penalty": float("nan")}),
        (MCTSConfig, {"num_simulations": 0}),
        (MCTSConfig, {"horizon": 0}),
        (MCTSConfig, {"num_rollouts": 0}),
        (MCTSConfig, {"pb_c_base": 0.0}),
        (MCTSConfig, {"normalise": "no"}),
        (MCTSConfig, {"dirichlet_fraction": 1.1}),
        (MCTSConfig, {"dirichlet_alpha": 0.0}),
        (MCTSConfig, {"milliseconds": 0.0}),
        (MCTSConfig, {"select": "best"}),
        (MCTSConfig, {"backup": "sum"}),
        (MCTSConfig, {"horizon_from": "tree"}),
        (MCTSConfig, {"uct_c": -1.0}),
        (MCTSConfig, {"num_considered": 0}),
        (MCTSConfig, {"gumbel_scale": -0.1}),
        (MCTSConfig, {"visit_offset": -1.0}),
        (MCTSConfig, {"value_scale": -1.0}),
        (MCTSConfig, {"resolution": -1e-9}),
        (MCTSConfig, {"num_outcomes": 0}),
        (MCTSConfig, {"num_sampled_actions": 1}),
        (MCTSConfig, {"reuse_tolerance": -1e-9}),
        (MCTSConfig, {"discount": 0.0}),
    ],
)
def test_settings_out_of_range_are_named(config: type, wrong: dict) -> None:
    name, value = next(iter(wrong.items()))
    with pytest.raises(InputError, match=f"{name}.*{value}"):
        config(**wrong)


def test_settings_import_nothing_heavy() -> None:
    heavy = "import sys, planners.configs; print({'torch', 'numba', 'numpy', 'gymnasium'} & set(sys.modules))"
    shown = subprocess.run([sys.executable, "-c", heavy], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "set()"
