"""Evolving a bandit: what is saved and told, and that real fitness rises."""

from dataclasses import asdict, replace

import jax
import numpy as np
import pytest

from envs.artifact import load_artifact
from envs.errors import InputError
from envs.spec import spec_of
from experiments.evolve import best_generation, evolve_bandit
from experiments.presets import CARTPOLE
from synthetic_envs.bandit import Bandit
from synthetic_envs.configs import BanditConfig, EvolutionConfig
from synthetic_envs.evolution import Generation
from synthetic_envs.saving import load_synthetic

PPO = replace(CARTPOLE.ppo, total_steps=4_096)
TINY_PPO = replace(CARTPOLE.ppo, total_steps=256, hidden=(4,), num_epochs=1)
TINY = EvolutionConfig(num_generations=2, population_size=4, num_checks=2)


def test_the_best_centre_is_the_one_whose_fresh_agents_did_best():
    checks = ([1.0, 1.0], [0.0, 4.0], [1.5, 1.5])
    fitness = np.array([9.0])  # of the members, which are not saved
    generations = [Generation(i, i * fitness, np.array(check), 1) for i, check in enumerate(checks)]
    assert best_generation(generations).centre == 1


def test_a_generation_that_is_not_finite_is_never_the_best_and_none_is_an_error():
    broken = Generation(0, np.array([1.0]), np.array([np.nan, 9.0]), 1)
    sound = Generation(1, np.array([1.0]), np.array([0.0, 0.0]), 1)
    assert best_generation([broken, sound]).centre == 1
    with pytest.raises(InputError, match="finite returns in some generation, got none"):
        best_generation([broken])


@pytest.mark.slow
def test_the_artifact_tells_how_it_came_about(tmp_path):
    told = evolve_bandit(
        "CartPole-v1", TINY_PPO, tmp_path / "bandit", evolution=TINY, num_episodes=2, seed=5, progress=None
    )
    bandit, params = load_synthetic(tmp_path / "bandit")
    assert jax.tree.map(np.shape, params) == jax.tree.map(np.shape, bandit.default_params)
    artifact = load_artifact(tmp_path / "bandit")
    assert artifact.spec == Bandit(spec_of("CartPole-v1"), BanditConfig()).spec
    assert artifact.provenance["seed"] == 5
    assert artifact.provenance["evolution"]["population_size"] == 4
    assert artifact.provenance["agent"]["total_steps"] == 256
    history = artifact.provenance["history"]
    assert history == asdict(told)
    assert [len(history[name]) for name in ("fitness_mean", "fitness_best", "check_mean", "check_worst")] == [2] * 4
    # 2 generations, 4 members and 2 checks, 2 episodes each of CartPole, where a return is a length.
    returns = [4 * mean + 2 * check for mean, check in zip(history["fitness_mean"], history["check_mean"], strict=True)]
    assert history["real_steps"] == pytest.approx(2 * sum(returns))


def test_bad_input_is_told_before_any_work(tmp_path):
    with pytest.raises(
        InputError, match=r"environment with compiled dynamics.*'CartPole-v2'; did you mean 'CartPole-v1'"
    ):
        evolve_bandit("CartPole-v2", PPO, tmp_path / "bandit")
    (tmp_path / "bandit").mkdir()
    (tmp_path / "bandit" / "mine").write_text("mine")
    with pytest.raises(InputError, match="bandit"):
        evolve_bandit("CartPole-v1", PPO, tmp_path / "bandit")
    assert (tmp_path / "bandit" / "mine").read_text() == "mine"


@pytest.mark.slow
def test_agents_trained_in_the_bandit_learn_to_balance(tmp_path):
    """A random policy lasts 22 steps. With seeds 0 to 3 the population reached 60 to 90."""
    small = EvolutionConfig(num_generations=15, population_size=32, num_checks=8)
    history = evolve_bandit(
        "CartPole-v1", PPO, tmp_path / "bandit", evolution=small, num_episodes=8, seed=0, progress=None
    )
    assert np.mean(history.fitness_mean[:2]) < 30
    assert np.mean(history.fitness_mean[-3:]) > 45
    assert max(history.check_mean) > 60
