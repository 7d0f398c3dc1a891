"""Policies by name."""

import numpy as np
import pytest

from envs.errors import InputError
from envs.policy import RandomPolicy
from experiments.policies import is_artifact, open_policy
from planners.configs import CEMConfig, MCTSConfig

PLANNERS = {"cem": CEMConfig(horizon=2, num_sequences=4), "mcts": MCTSConfig(num_simulations=2)}

FOLDERS = ("model", "policy", "mdp", "bandit", "reward-network", "nothing")


@pytest.mark.parametrize("name", PLANNERS)
@pytest.mark.parametrize("model", [None, "model", "mdp"])
def test_planners_plan_on_a_model_or_on_the_simulator(shelf, name, model):
    policy = open_policy(name, "CartPole-v1", PLANNERS, model and shelf / model)
    observations = np.zeros((2, 4), np.float32)
    actions, _ = policy.act(observations, policy.initial_state(2, 0))
    assert actions.shape == (2,)


def test_toy_text_is_planned_on_by_its_table_even_where_it_slips():
    policy = open_policy("mcts", "FrozenLake-v1", PLANNERS)
    actions, state = policy.act(np.zeros(2, np.int64), policy.initial_state(2, 0))
    assert actions.shape == (2,)
    assert list(state["model"]) == ["cell"]


def test_a_saved_policy_and_the_random_one(shelf):
    assert not open_policy(str(shelf / "policy")).stochastic
    assert open_policy(str(shelf / "policy"), "CartPole-v1", PLANNERS, stochastic=True).stochastic
    assert isinstance(open_policy("random", "CartPole-v1"), RandomPolicy)


def test_a_path_is_told_from_a_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "here").mkdir()
    assert [is_artifact(name) for name in ("here", "./here", "a/b", "random")] == [True, True, True, False]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("cme", "CartPole-v1", PLANNERS), "unknown policy 'cme'; did you mean 'cem'"),
        (("random", "CartPole-v1", PLANNERS, "model"), r"expected a planner \(cem, mcts\) .* got the policy 'random'"),
        (("cem", "Acrobot-v1", PLANNERS, "model"), "disagree on env_id: Acrobot-v1 against CartPole-v1"),
        (("cem", "CartPole-v1", PLANNERS, "policy"), "expected a world_model at .*policy, found a policy"),
        (("cem", "Acrobot-v1", PLANNERS, "mdp"), "disagree on env_id: Acrobot-v1 against CartPole-v1"),
        (("cem", "CartPole-v1", PLANNERS, "bandit"), "world model or a synthetic MDP to plan on at .*, found a bandit"),
        (("cem", "CartPole-v1", PLANNERS, "reward-network"), "to plan on at .*, found a reward-network"),
        (("cem", "CartPole-v1", PLANNERS, "nothing"), "expected an artifact folder .* at .*nothing, found none"),
    ],
)
def test_what_cannot_act_is_told(shelf, arguments, told):
    given = [shelf / one if one in FOLDERS else one for one in arguments]
    with pytest.raises(InputError, match=told):
        open_policy(*given)


@pytest.mark.parametrize("folder", ["model", "bandit"])
def test_an_artifact_of_another_kind_is_no_policy(shelf, folder):
    with pytest.raises(InputError, match=rf"expected a policy at .*{folder}, found a"):
        open_policy(str(shelf / folder))
