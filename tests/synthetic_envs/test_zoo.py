"""The zoo: every environment by its id, its checks, its card, and outside agents that learn in it."""

from pathlib import Path

import gymnasium
import numpy as np
import pytest
import simulacra_gymnasium
from gymnasium.utils.env_checker import check_env

from envs.errors import InputError
from envs.evaluate import evaluate
from envs.spec import make_real, spec_of
from experiments.zoo_recipes import RECIPES, card_lines
from synthetic_envs.saving import load_synthetic
from synthetic_envs.zoo import NAMES, folder_named, read_card, zoo_folder


def test_ids_recipes_and_folders_are_of_the_same_environments():
    assert set(NAMES) == set(RECIPES) == set(simulacra_gymnasium._ZOO)
    assert all(zoo_folder(name).is_dir() for name in NAMES)
    with pytest.raises(InputError, match="zoo 'CartPole'; did you mean 'CartPole-"):
        zoo_folder("CartPole")
    assert folder_named("simulacra/CartPole-bandit-v1") == zoo_folder("CartPole-bandit-v1")
    assert folder_named("runs/CartPole-bandit-v1") == Path("runs/CartPole-bandit-v1")
    with pytest.raises(InputError, match="expected a real environment, got 'simulacra/CartPole-bandit-v1'"):
        make_real("simulacra/CartPole-bandit-v1")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.filterwarnings("ignore:.*A Box observation space m")  # CartPole's bounds, as Gymnasium has them
@pytest.mark.filterwarnings("ignore:.*we recommend using a symmetric and normalized")  # Pendulum's
def test_each_is_made_by_its_id_and_passes_gymnasiums_checks(name):
    env = gymnasium.make(f"simulacra/{name}")
    check_env(env.unwrapped, skip_render_check=True)
    spec = spec_of(RECIPES[name].env_id)
    assert (env.observation_space, env.action_space) == (spec.observation_space, spec.action_space)
    envs = gymnasium.make_vec(f"simulacra/{name}", 5)
    envs.reset(seed=0)
    _, rewards, terminated, _, _ = envs.step(envs.action_space.sample())
    assert terminated.all() == ("bandit" in name)
    assert np.isfinite(rewards).all()
    envs.close()


@pytest.mark.parametrize("name", NAMES)
def test_cards_tell_what_was_made_and_what_it_cost(name):
    card, (env, _) = read_card(name), load_synthetic(zoo_folder(name))
    assert (card["name"], card["stands_for"]) == (name, RECIPES[name].env_id)
    assert env.spec.env_id == card["stands_for"]
    assert card["recipe"]["distillation"]["spread"] == RECIPES[name].distillation.spread
    assert card["real_steps"] > 0 < card["cpu_seconds"]
    for row in [*card["results"], *card.get("transfer", [])]:
        assert len(row["scores"]) == row["agents"] == 20
        assert row["worst"] == min(row["scores"]) <= row["iqm"]
    transfer = card.get("transfer", [])
    assert len(card_lines(card)) == 2 + len(card["results"]) + len(transfer) + bool(transfer)


class OutsidePolicy:
    """A Stable-Baselines3 model, acting greedily."""

    def __init__(self, model, env_id: str):
        self.spec, self.model = spec_of(env_id), model

    def initial_state(self, num_rows, seed):
        return None

    def act(self, observations, state):
        return self.model.predict(observations, deterministic=True)[0], state


@pytest.mark.slow
@pytest.mark.parametrize("algorithm", ["PPO", "DQN"])
def test_outside_agents_train_on_it_unchanged_and_balance_the_real_pole(algorithm):
    import stable_baselines3

    settings = {"PPO": {"n_steps": 512}, "DQN": {"learning_starts": 500, "learning_rate": 1e-3}}[algorithm]
    env = gymnasium.make("simulacra/CartPole-bandit-v1")
    model = getattr(stable_baselines3, algorithm)("MlpPolicy", env, seed=0, device="cpu", **settings)
    model.learn(10_000)
    found = evaluate(OutsidePolicy(model, "CartPole-v1"), "CartPole-v1", episodes=10)
    assert found.returns.mean() >= 475
