"""Distilling a policy: with a log or without, and that agents of any settings learn from it."""

import numpy as np
import pytest

from envs.artifact import load_artifact
from envs.errors import InputError
from envs.evaluate import evaluate
from envs.spec import spec_of
from experiments.behaviours import RULES, NoisyRulePolicy
from experiments.distil import distil_policy
from experiments.inner_agents import inner_agent
from experiments.train import train
from experiments.worlds import open_world
from synthetic_envs.configs import DistillationConfig
from worldmodels.configs import EpisodeConfig

TEACHER = NoisyRulePolicy(spec_of("CartPole-v1"), RULES["CartPole-v1"], (0.0,))
QUICK = DistillationConfig(num_contexts=2000, context_steps=200, reward_steps=800)


def test_a_log_or_the_teacher_itself_says_where_contexts_lie(shelf, tmp_path):
    told = distil_policy(TEACHER, "the rule", shelf / "log", tmp_path / "a", config=QUICK)
    provenance = load_artifact(tmp_path / "a").provenance
    assert provenance["teacher"] == "the rule"
    assert provenance["distillation"]["agreement"] == told.agreement > 0.9
    assert len(provenance["log_sha256"]) == 64
    distil_policy(TEACHER, "the rule", None, tmp_path / "b", steps=500, config=QUICK)
    assert load_artifact(tmp_path / "b").provenance["recorded"]["steps"] == 500
    with pytest.raises(InputError, match="b"):
        distil_policy(TEACHER, "the rule", None, tmp_path / "b", steps=500, config=QUICK)


def test_a_teacher_of_another_environment_is_refused(shelf, tmp_path):
    teacher = NoisyRulePolicy(spec_of("Acrobot-v1"), RULES["Acrobot-v1"])
    with pytest.raises(InputError, match="the teacher and the log disagree on env_id"):
        distil_policy(teacher, "the rule", shelf / "log", tmp_path / "a")
    assert not (tmp_path / "a").exists()


@pytest.mark.slow
def test_a_fresh_agent_learns_in_the_bandit_what_the_teacher_does(tmp_path):
    """The rule balances the pole and drifts off the track, after some 200 steps where a random policy lasts 22."""
    distil_policy(TEACHER, "the rule", None, tmp_path / "bandit", steps=3000)
    world = open_world(str(tmp_path / "bandit"), EpisodeConfig())
    returns = [
        evaluate(policy, "CartPole-v1", 10).returns.mean()
        for policy in train(world, inner_agent("ppo", TEACHER.spec.action_space), [0, 1, 2]).policies
    ]
    taught = evaluate(TEACHER, "CartPole-v1", 10).returns.mean()
    assert taught > 100
    assert np.min(returns) > 0.7 * taught
