from collections.abc import Callable

import numpy as np

from envs.world_model import WorldModel
from worldmodels.gym.imagination import Imagination
from worldmodels.gym.rules import EpisodeRules


def test_a_diverged_row_keeps_its_last_finite_state(
    counting_model: WorldModel, rules_from: Callable[..., EpisodeRules]
) -> None:
    imagination = Imagination(counting_model, rules_from(counting_model, horizon=9), 2)
    imagination.seed(np.random.default_rng(0))
    imagination.restart(np.ones(2, bool))
    for actions in ([1, 0], [1, 0]):
        imagination.step(np.array(actions))
    step = imagination.step(np.array([1, 0]))
    assert step.diverged.tolist() == [True, False]
    assert step.observation.tolist() == [[2.0, 2.0], [3.0, -3.0]]
    step = imagination.step(np.array([0, 1]))
    assert step.diverged.tolist() == [False, False]
    assert step.observation.tolist() == [[3.0, 1.0], [4.0, -2.0]]
