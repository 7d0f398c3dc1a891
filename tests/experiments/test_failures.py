"""What goes wrong late is told and leaves nothing behind."""

import re
from dataclasses import replace

import jax
import numpy as np
import pytest

from agents.agent_policy import AgentPolicy, load_policy, save_policy
from agents.configs import PPOConfig
from envs.errors import InputError
from envs.spec import spec_of
from experiments.cli import main
from experiments.configs import ANYWHERE
from experiments.presets import preset
from experiments.run_folder import RunFolder
from experiments.train import train
from experiments.transfer import transfer
from experiments.worlds import open_world

PPO = PPOConfig(total_steps=256, num_envs=4, num_steps=16, num_epochs=2, hidden=(8,))


def test_a_training_that_diverged_is_not_passed_on():
    world = open_world("CartPole-v1", ANYWHERE)
    with pytest.raises(InputError, match=r"training of seed 3 diverged.*after 64 steps"):
        train(world, replace(PPO, learning_rate=1e30), [3])


def test_a_policy_that_is_not_finite_is_not_loaded(tmp_path):
    spec = spec_of("CartPole-v1")
    policy = AgentPolicy(spec, PPO, {})
    params = jax.tree.map(lambda leaf: np.full(leaf.shape, np.nan), policy.networks.init(jax.random.key(0)))
    save_policy(tmp_path / "policy", AgentPolicy(spec, PPO, params), {})
    with pytest.raises(InputError, match="expected finite numbers in every tensor of the PPO policy"):
        load_policy(tmp_path / "policy")


def test_a_study_that_cannot_go_on_leaves_no_folder(tmp_path):
    too_short = replace(preset("cartpole-small"), log_steps=20)
    with pytest.raises(InputError, match="at least 3 episodes"):
        transfer(too_short, tmp_path / "run", say=lambda _: None, progress=False)
    assert not (tmp_path / "run").exists()


def test_overwriting_a_run_spares_what_is_not_its_own(tmp_path):
    RunFolder(tmp_path / "run", {"a": 1})
    (tmp_path / "run" / "thesis.tex").write_text("years of work")
    RunFolder(tmp_path / "run", {"a": 2}, overwrite=True)
    assert (tmp_path / "run" / "thesis.tex").read_text() == "years of work"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ("collect --out x --source-format csv", "expected --source-format only together with --source"),
        ("evaluate --policy random --stochastic", "expected a saved policy to be sampled from, got 'random'"),
        ("train --world runs/modle --out x", "expected the folder of a world model .* at runs/modle, found none"),
        ("collect --env simulacra/WorldModel-v0 --out x", "simulacra/WorldModel-v0"),
    ],
)
def test_options_that_do_not_go_together_are_told(tmp_path, monkeypatch, capsys, arguments, told):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as stopped:
        main(arguments.split())
    assert stopped.value.code == 2
    assert re.search(told, capsys.readouterr().err)
    assert list(tmp_path.iterdir()) == []
