"""Evolving a bandit: what is saved and told, that it goes on exactly, and that real fitness rises."""

import subprocess
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path

import jax
import numpy as np
import pytest

from envs.artifact import load_artifact
from envs.errors import InputError
from envs.spec import spec_of
from experiments.evolve import evolve_for
from experiments.evolve_configs import EvolveConfig, FitnessConfig, InnerAgent, StageConfig
from experiments.evolve_presets import evolve_preset
from experiments.presets import CARTPOLE
from synthetic_envs.bandit import Bandit
from synthetic_envs.configs import BanditConfig, EvolutionConfig
from synthetic_envs.saving import load_synthetic

TINY_AGENT = InnerAgent(replace(CARTPOLE.ppo, total_steps=256, hidden=(4,), num_epochs=1))
STAGE = StageConfig(
    (TINY_AGENT,), EvolutionConfig(num_generations=2, population_size=4, num_checks=2), FitnessConfig(num_episodes=2)
)
TINY = EvolveConfig(stages=(STAGE,), seed=5)
IN_TWO = replace(TINY, stages=(STAGE, replace(STAGE, search=replace(STAGE.search, sigma=0.05))))


def tensors(path: Path) -> dict:
    return load_artifact(path).tensors


def assert_same(one: Path, other: Path) -> None:
    first, second = tensors(one), tensors(other)
    assert first.keys() == second.keys()
    for name, tensor in first.items():
        np.testing.assert_array_equal(tensor, second[name])


def told_without_times(path: Path) -> dict:
    history = load_artifact(path).provenance["history"]
    return {name: value for name, value in history.items() if "seconds" not in name}


def test_the_artifact_tells_how_it_came_about(tmp_path):
    told = evolve_for(TINY, tmp_path / "bandit", progress=None)
    bandit, params = load_synthetic(tmp_path / "bandit")
    assert jax.tree.map(np.shape, params) == jax.tree.map(np.shape, bandit.default_params)
    artifact = load_artifact(tmp_path / "bandit")
    assert artifact.spec == Bandit(spec_of("CartPole-v1"), BanditConfig()).spec
    stage = artifact.provenance["evolution"]["stages"][0]
    assert artifact.provenance["seed"] == 5
    assert (stage["search"]["population_size"], stage["agents"][0]["agent"]["total_steps"]) == (4, 256)
    assert artifact.provenance["evolution"]["algorithms"] == [["ppo"]]
    history = artifact.provenance["history"]
    assert history == asdict(told)
    assert [len(history[name]) for name in ("fitness_mean", "fitness_best", "check_mean", "check_worst")] == [2] * 4
    # 2 generations, 4 members and 2 checks, 2 episodes each of CartPole, where a return is a length.
    returns = [4 * mean + 2 * check for mean, check in zip(history["fitness_mean"], history["check_mean"], strict=True)]
    assert history["real_steps"] == pytest.approx(2 * sum(returns))
    assert not (tmp_path / "bandit.evolve").exists()
    assert evolve_for(TINY, tmp_path / "bandit", resume=True, progress=None) is None
    with pytest.raises(InputError, match=r"cannot resume .*bandit with other settings: seed was 5 and is now 6"):
        evolve_for(replace(TINY, seed=6), tmp_path / "bandit", resume=True, progress=None)


@pytest.mark.slow
def test_what_was_interrupted_goes_on_exactly(tmp_path, monkeypatch):
    """In the midst of the second stage; the first one is in its checkpoint only."""
    import experiments.evolve as module

    evolve_for(IN_TWO, tmp_path / "whole", progress=None)
    real, done = module.evolve, []

    def interrupted(*arguments):
        for generation in real(*arguments):
            if len(done) == 3:
                raise KeyboardInterrupt
            done.append(generation.number)
            yield generation

    monkeypatch.setattr(module, "evolve", interrupted)
    with pytest.raises(KeyboardInterrupt):
        evolve_for(IN_TWO, tmp_path / "parts", progress=None)
    monkeypatch.undo()
    assert not (tmp_path / "parts").exists()
    with pytest.raises(InputError, match="already holds a search; give --resume"):
        evolve_for(IN_TWO, tmp_path / "parts", progress=None)
    evolve_for(IN_TWO, tmp_path / "parts", resume=True, progress=None)
    assert_same(tmp_path / "whole", tmp_path / "parts")
    assert told_without_times(tmp_path / "whole") == told_without_times(tmp_path / "parts")
    assert told_without_times(tmp_path / "whole")["stages"] == [2, 2]


COMMAND = [
    "evolve", "--search.num-generations", "5", "--search.population-size", "6", "--search.num-checks", "2",
    "--search.num-jobs", "2", "--fitness.num-episodes", "2", "--seed", "3", "--no-report",
]  # fmt: skip


def start(out: Path, *more: str) -> subprocess.Popen:
    program = [sys.executable, "-c", "from experiments.cli import main; main()", *COMMAND, "--out", str(out), *more]
    return subprocess.Popen(program, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


@pytest.mark.slow
def test_killed_at_any_moment_and_with_any_number_of_workers_it_ends_alike_bit_for_bit(tmp_path):
    whole = start(tmp_path / "whole")
    assert whole.wait() == 0
    killed, checkpoint = (
        start(tmp_path / "parts", "--workers", "2"),
        tmp_path / "parts.evolve/search/stage-0.checkpoint",
    )
    while not checkpoint.exists():
        assert killed.poll() is None
        time.sleep(0.05)
    killed.kill()
    killed.wait()
    assert not (tmp_path / "parts").exists()
    again = start(tmp_path / "parts", "--resume")
    assert again.wait() == 0
    assert_same(tmp_path / "whole", tmp_path / "parts")
    assert told_without_times(tmp_path / "whole") == told_without_times(tmp_path / "parts")


def test_bad_input_is_told_before_any_work(tmp_path):
    with pytest.raises(
        InputError, match=r"environment with compiled dynamics 'CartPole-v2'; did you mean 'CartPole-v1'"
    ):
        evolve_for(replace(TINY, env_id="CartPole-v2"), tmp_path / "bandit")
    (tmp_path / "bandit").mkdir()
    (tmp_path / "bandit" / "mine").write_text("mine")
    with pytest.raises(InputError, match="bandit"):
        evolve_for(TINY, tmp_path / "bandit")
    assert (tmp_path / "bandit" / "mine").read_text() == "mine"
    assert [path.name for path in tmp_path.iterdir()] == ["bandit"]
    with pytest.raises(InputError, match="DQN does not fit"):
        evolve_for(
            replace(TINY, env_id="Pendulum-v1", stages=(evolve_preset("", "general").stages[1],)), tmp_path / "x"
        )
    with pytest.raises(InputError, match="the workers of an evolution of at least 1"):
        evolve_for(TINY, tmp_path / "x", num_workers=0)


@pytest.mark.slow
def test_agents_trained_in_the_bandit_learn_to_balance(tmp_path):
    """A random policy lasts 22 steps. With seeds 0 to 3 the population reached 60 to 90."""
    small = EvolutionConfig(num_generations=15, population_size=32, num_checks=8)
    stage = StageConfig((InnerAgent(replace(CARTPOLE.ppo, total_steps=4_096)),), small, FitnessConfig(num_episodes=8))
    history = evolve_for(EvolveConfig(stages=(stage,)), tmp_path / "bandit", progress=None)
    assert np.mean(history.fitness_mean[:2]) < 30
    assert np.mean(history.fitness_mean[-3:]) > 45
    assert max(history.check_mean) > 60


def test_an_evolution_begins_with_the_environment_that_it_is_given(shelf, tmp_path):
    small = BanditConfig(state_hidden=(4,), reward_hidden=(4,))
    still = replace(STAGE, search=replace(STAGE.search, sigma=1e-9, num_generations=1))
    config = replace(TINY, synthetic=small, stages=(still,), start=str(shelf / "bandit"))
    evolve_for(config, tmp_path / "bandit", progress=None)
    assert_same(tmp_path / "bandit", shelf / "bandit")
    with pytest.raises(InputError, match=r"expected a start of the settings .*32.*, .*bandit has .*4"):
        evolve_for(replace(config, synthetic=BanditConfig()), tmp_path / "other", progress=None)
    with pytest.raises(InputError, match=r"start was .* and is now None"):
        evolve_for(replace(config, start=None), tmp_path / "bandit", resume=True, progress=None)
