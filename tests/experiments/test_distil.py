"""Distilling a policy: with a log or without, and that agents of any settings learn from it."""

from dataclasses import replace

import numpy as np
import pytest

from envs.artifact import load_artifact
from envs.errors import InputError
from envs.evaluate import evaluate
from envs.spec import spec_of
from experiments.behaviours import RULES, NoisyRulePolicy
from experiments.distil import Teacher, discounted_returns, distil_for, optimal_teacher, teacher_named
from experiments.suited_agents import inner_agent
from experiments.train import train
from experiments.worlds import open_world
from planners.configs import MCTSConfig, RandomShootingConfig
from synthetic_envs.configs import DistillationConfig, MDPConfig, RewardNetworkConfig
from synthetic_envs.saving import load_synthetic
from worldmodels.configs import EpisodeConfig

TEACHER = Teacher(NoisyRulePolicy(spec_of("CartPole-v1"), RULES["CartPole-v1"], (0.0,)), "the rule")
QUICK = DistillationConfig(num_contexts=2000, context_steps=200, reward_steps=800)


def test_a_log_or_the_teacher_itself_says_where_contexts_lie(shelf, tmp_path):
    told = distil_for(TEACHER, tmp_path / "a", logs=shelf / "log", config=QUICK)
    provenance = load_artifact(tmp_path / "a").provenance
    assert provenance["teacher"] == "the rule"
    assert provenance["distillation"]["agreement"] == told.agreement > 0.9
    assert len(provenance["log_sha256"]) == 64
    distil_for(TEACHER, tmp_path / "b", steps=500, config=QUICK)
    assert load_artifact(tmp_path / "b").provenance["recorded"]["steps"] == 500
    with pytest.raises(InputError, match="b"):
        distil_for(TEACHER, tmp_path / "b", steps=500, config=QUICK)


def test_a_teacher_of_another_environment_is_refused(shelf, tmp_path):
    teacher = Teacher(NoisyRulePolicy(spec_of("Acrobot-v1"), RULES["Acrobot-v1"]), "the rule")
    with pytest.raises(InputError, match="the teacher and the log disagree on env_id"):
        distil_for(teacher, tmp_path / "a", logs=shelf / "log")
    assert not (tmp_path / "a").exists()


def test_mdps_and_potentials_are_distilled_too(shelf, tmp_path):
    told = distil_for(TEACHER, tmp_path / "mdp", MDPConfig(max_steps=20), shelf / "log", config=QUICK)
    assert told.agreement > 0.85
    env, _ = load_synthetic(tmp_path / "mdp")
    assert (env.family, env.spec.max_episode_steps) == ("mdp", 20)
    distil_for(TEACHER, tmp_path / "reward", RewardNetworkConfig(), shelf / "log", config=QUICK)
    assert load_synthetic(tmp_path / "reward")[0].family == "reward-network"


def test_the_best_there_is_teaches_how_much_every_action_matters(tmp_path):
    told = distil_for(optimal_teacher("MountainCar-v0"), tmp_path / "car", steps=400, config=QUICK)
    assert told.agreement > 0.8
    assert "the optimum of MountainCar-v0 by value iteration" in load_artifact(tmp_path / "car").provenance["teacher"]
    with pytest.raises(InputError, match="unknown environment with optimal values 'Hopper-v5'"):
        teacher_named("optimal:Hopper-v5")


PLANNERS = {"random-shooting": RandomShootingConfig(num_sequences=50), "mcts": MCTSConfig()}


def test_a_planner_on_a_world_model_teaches(shelf, tmp_path):
    teacher = teacher_named("random-shooting", PLANNERS, shelf / "model")
    told = distil_for(teacher, tmp_path / "planned", logs=shelf / "log", config=replace(QUICK, num_contexts=200))
    assert told.agreement > 0.5
    assert load_artifact(tmp_path / "planned").provenance["teacher"].startswith("random-shooting on the model at")
    with pytest.raises(InputError, match=r"expected a planner .* with a model, got the policy 'optimal:CartPole-v1'"):
        teacher_named("optimal:CartPole-v1", PLANNERS, shelf / "model")
    with pytest.raises(InputError, match="expected the model that mcts is to plan on, got none"):
        teacher_named("mcts", PLANNERS)


def test_returns_are_discounted_to_the_end_of_their_episode():
    reward, no = np.ones(5, np.float32), np.zeros(5, bool)
    terminated, truncated = no.copy(), no.copy()
    terminated[1] = truncated[3] = True
    returns, whole = discounted_returns(reward, terminated, truncated, 0.5)
    np.testing.assert_allclose(returns, [1.5, 1.0, 1.5, 1.0, 1.0])
    # Behind a limit, or the recording's end, half of what follows the last step is lost, and a quarter one before it.
    np.testing.assert_array_equal(whole, [True, True, True, False, False])


@pytest.mark.slow
def test_a_fresh_agent_learns_in_the_bandit_what_the_teacher_does(tmp_path):
    """The rule balances the pole and drifts off the track, after some 200 steps where a random policy lasts 22."""
    distil_for(TEACHER, tmp_path / "bandit", steps=3000)
    world = open_world(str(tmp_path / "bandit"), EpisodeConfig())
    returns = [
        evaluate(policy, "CartPole-v1", 10).returns.mean()
        for policy in train(world, inner_agent("ppo", TEACHER.policy.spec.action_space), [0, 1, 2]).policies
    ]
    taught = evaluate(TEACHER.policy, "CartPole-v1", 10).returns.mean()
    assert taught > 100
    assert np.min(returns) > 0.7 * taught
