from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from gymnasium import spaces

from envs.errors import InputError
from envs.spec import EnvSpec
from worldmodels.configs import EpisodeConfig
from worldmodels.families.ensemble import Ensemble
from worldmodels.gym.rules import make_rules
from worldmodels.gym.start_sources import PointStarts
from worldmodels.saved_model import LoadOptions


def test_rules_from_settings(toy: Ensemble) -> None:
    rules = make_rules(toy, EpisodeConfig(uncertainty_quantile=0.25))
    assert (rules.horizon, rules.max_uncertainty, rules.pessimism) == (50, 0.25, 0.0)
    rules = make_rules(toy, EpisodeConfig("any", 7, "total", 0.1, pessimism=2.0))
    assert (rules.horizon, rules.uncertainty, rules.max_uncertainty, rules.pessimism) == (7, "total", 0.1, 2.0)
    endless = toy.with_trained(replace(toy.trained, spec=replace(toy.spec, max_episode_steps=None)))
    with pytest.raises(InputError, match="expected a horizon"):
        make_rules(endless, EpisodeConfig())


def test_the_quantile_is_of_the_chosen_kind(toy: Ensemble) -> None:
    levels = torch.stack([scale * torch.linspace(0, 1, 1001) for scale in (1, 2, 3)])
    model = toy.with_trained(replace(toy.trained, uncertainty_levels=levels))
    found = [
        make_rules(model, EpisodeConfig(uncertainty=kind, uncertainty_quantile=0.5)).max_uncertainty
        for kind in ("epistemic", "aleatoric", "total")  # type: ignore[arg-type]
    ]
    assert found == pytest.approx([0.5, 1.0, 1.5])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"start": "anywhere"}, "expected start to be one of initial, any, learned, got 'anywhere'"),
        ({"uncertainty": "both"}, "expected uncertainty to be one of"),
        ({"horizon": 0}, "expected horizon of at least 1 step"),
        ({"max_uncertainty": -0.1}, "expected max_uncertainty of at least 0"),
        ({"max_uncertainty": np.nan}, "expected max_uncertainty of at least 0"),
        ({"uncertainty_quantile": 1.5}, "expected uncertainty_quantile from 0 to 1"),
        ({"max_uncertainty": 0.1, "uncertainty_quantile": 0.1}, "but not both"),
        ({"pessimism": -1.0}, "expected pessimism of at least 0"),
        ({"pessimism": np.inf}, "expected pessimism of at least 0"),
        ({"pessimism": np.nan}, "expected pessimism of at least 0"),
    ],
)
def test_wrong_settings_are_refused(settings: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        EpisodeConfig(**settings)


@pytest.mark.parametrize("settings", [{"pessimism": 1.0}, {"max_uncertainty": 0.5}, {"uncertainty_quantile": 0.9}])
@pytest.mark.parametrize("kind", ["epistemic", "aleatoric", "total"])
def test_uncertainty_that_is_not_measured_can_neither_cost_nor_cut(
    make_untrained: Callable[..., Ensemble], settings: dict, kind: str
) -> None:
    spec = EnvSpec("Toy-v0", spaces.Box(-2, 2, (3,), np.float32), spaces.Discrete(2, start=4), 50)
    fast = make_untrained(spec, options=LoadOptions("ts1", epistemic=False))
    config = EpisodeConfig(uncertainty=kind, **settings)  # type: ignore[arg-type]
    if kind == "aleatoric":
        make_rules(fast, config)
    else:
        with pytest.raises(InputError, match=f"measures its {kind} uncertainty, .* made with epistemic=False"):
            make_rules(fast, config)


def test_no_start_points_are_refused(toy: Ensemble) -> None:
    with pytest.raises(InputError, match="at least one point, got 0"):
        PointStarts(np.zeros((0, 3), np.float32), {})
