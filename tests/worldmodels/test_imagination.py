from dataclasses import replace

import numpy as np
import pytest
from gymnasium import spaces

from envs.errors import InputError
from envs.spec import EnvSpec
from envs.world_model import WorldModel
from worldmodels.ensemble import Ensemble
from worldmodels.imagination import EpisodeLimits, Imagination, make_limits, some_action, valid_actions


def spec_with(action_space: spaces.Space) -> EnvSpec:
    return EnvSpec("Toy-v0", spaces.Box(-1, 1, (1,), np.float32), action_space)


def test_valid_actions_take_the_dtype_of_the_space() -> None:
    discrete = valid_actions(spec_with(spaces.Discrete(3, start=-1)), [-1, 1.0], 2)
    assert (discrete.tolist(), discrete.dtype) == ([-1, 1], np.int64)
    box = valid_actions(spec_with(spaces.Box(-0.1, 0.1, (2,), np.float32)), [[0.1, -0.1]], 1)  # 0.1 is rounded first
    assert box.dtype == np.float32


@pytest.mark.parametrize(
    ("space", "actions", "message"),
    [
        (spaces.Discrete(2), [0, 2], "got 2 in row 1"),
        (spaces.Discrete(2), [0.5, 1], "got 0.5 in row 0"),
        (spaces.Discrete(2), [0, 1, 1], r"shape \(2,\) for Toy-v0, got \(3,\)"),
        (spaces.Box(-1, 1, (1,)), [[0.0], [np.nan]], r"got \[nan\] in row 1"),
        (spaces.Box(-1, 1, (1,)), [[1.5], [0.0]], "in row 0"),
        (spaces.Box(-1, 1, (1,)), [0.0, 0.0], r"shape \(2, 1\)"),
    ],
)
def test_other_actions_are_refused(space: spaces.Space, actions: list, message: str) -> None:
    with pytest.raises(InputError, match=message):
        valid_actions(spec_with(space), actions, 2)


@pytest.mark.parametrize(
    "space",
    [
        spaces.Discrete(2, start=3),
        spaces.MultiDiscrete([2, 3], start=[1, -1]),
        spaces.MultiBinary(3),
        spaces.Box(-1, 1, (2,)),
        spaces.Box(np.array([2.0, -np.inf]), np.array([np.inf, -3.0]), dtype=np.float64),
    ],
)
def test_some_action_is_inside(space: spaces.Space) -> None:
    assert valid_actions(spec_with(space), some_action(space)[None], 1).shape == (1, *space.shape)


def test_a_diverged_row_keeps_its_last_finite_state(counting_model: WorldModel) -> None:
    imagination = Imagination(counting_model, EpisodeLimits(np.zeros((1, 2), np.float32), 9), 2)
    imagination.seed(np.random.default_rng(0))
    imagination.reset()
    for actions in ([1, 0], [1, 0]):
        imagination.step(np.array(actions))
    step = imagination.step(np.array([1, 0]))
    assert step.diverged.tolist() == [True, False]
    assert step.observation.tolist() == [[2.0, 2.0], [3.0, -3.0]]
    step = imagination.step(np.array([0, 1]))
    assert step.diverged.tolist() == [False, False]
    assert step.observation.tolist() == [[3.0, 1.0], [4.0, -2.0]]


def test_limits_are_checked() -> None:
    starts = np.zeros((1, 2), np.float32)
    with pytest.raises(InputError, match="horizon of at least 1"):
        EpisodeLimits(starts, 0)
    with pytest.raises(InputError, match="max_uncertainty"):
        EpisodeLimits(starts, 1, np.nan)
    with pytest.raises(InputError, match="start observation"):
        EpisodeLimits(starts[:0], 1)


def test_limits_from_settings(toy: Ensemble) -> None:
    limits = make_limits(toy, "initial", None, None, 0.25)
    assert (limits.horizon, limits.max_uncertainty) == (50, 0.25)
    assert make_limits(toy, "any", 7, 0.1, None).horizon == 7
    with pytest.raises(InputError, match="unknown start 'anywhere'"):
        make_limits(toy, "anywhere", None, None, None)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="got both"):
        make_limits(toy, "any", None, 0.1, 0.1)
    endless = Ensemble(replace(toy.parts, spec=replace(toy.spec, max_episode_steps=None)))
    with pytest.raises(InputError, match="expected a horizon"):
        make_limits(endless, "any", None, None, None)
