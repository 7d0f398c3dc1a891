"""Every strategy: it finds a known optimum, does not move without selection, mirrors, and is a function of its key."""

from dataclasses import replace
from typing import get_args

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from synthetic_envs.configs import EvolutionConfig, Strategy
from synthetic_envs.strategies import make_strategy

NAMES = get_args(Strategy)
TARGET = {"a": jnp.array([1.0, -2.0]), "b": jnp.array([[0.5], [-0.5], [1.5], [0.0]])}
START = jax.tree.map(jnp.zeros_like, TARGET)
CONFIG = EvolutionConfig(population_size=32, sigma=0.3, learning_rate=0.1)


def closeness(population) -> jax.Array:
    parts = jax.tree.map(lambda p, t: ((p - t) ** 2).reshape(len(p), -1).sum(1), population, TARGET)
    return -sum(jax.tree.leaves(parts))


def searched(config: EvolutionConfig, fitness_fn, num_generations: int):
    """Returns the search and its states before and after."""
    strategy = make_strategy(config, START)
    first = strategy.init(jax.random.key(0), START)

    def generation(state, key):
        ask_key, tell_key = jax.random.split(key)
        population, state = strategy.ask(ask_key, state)
        return strategy.tell(tell_key, population, fitness_fn(population), state), population

    keys = jax.random.split(jax.random.key(1), num_generations)
    last, populations = jax.jit(lambda state: jax.lax.scan(generation, state, keys))(first)
    return strategy, first, last, populations


@pytest.mark.parametrize("name", NAMES)
def test_a_known_optimum_is_found(name):
    strategy, _, last, _ = searched(replace(CONFIG, strategy=name), closeness, 150)
    jax.tree.map(
        lambda found, target: np.testing.assert_allclose(found, target, atol=0.15), strategy.centre(last), TARGET
    )


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("value", [0.0, 500.0, np.nan, -np.inf])
def test_without_selection_nothing_moves(name, value):
    strategy, first, last, populations = searched(
        replace(CONFIG, strategy=name), lambda population: jnp.full(len(population["a"]), value), 5
    )
    jax.tree.map(np.testing.assert_array_equal, strategy.centre(last), START)
    spread = np.std([leaf.std() for leaf in jax.tree.leaves(jax.tree.map(lambda p: p[-1], populations))])
    assert spread < 0.1
    for before, after in zip(jax.tree.leaves(first), jax.tree.leaves(last), strict=True):
        if before.shape[:1] != (32,):  # but for the draws that some remember
            np.testing.assert_array_equal(before, after)


@pytest.mark.parametrize("name", NAMES)
def test_what_is_not_finite_is_worst(name):
    """Half of the population is equally good, the other half diverged: the centre goes towards the first."""
    strategy, _, last, _ = searched(
        replace(CONFIG, strategy=name), lambda population: jnp.where(population["a"][:, 0] > 0.0, 1.0, jnp.nan), 20
    )
    assert strategy.centre(last)["a"][0] > 0.2
    assert all(jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(strategy.centre(last)))


@pytest.mark.parametrize("name", NAMES)
def test_members_come_in_mirrored_pairs_about_the_centre(name):
    strategy = make_strategy(replace(CONFIG, strategy=name), START)
    population, _ = strategy.ask(
        jax.random.key(2), strategy.init(jax.random.key(0), jax.tree.map(lambda x: x + 3, START))
    )
    for leaf in jax.tree.leaves(population):
        np.testing.assert_allclose(leaf[:16] + leaf[16:], 6.0, rtol=1e-5)
        assert leaf.std() == pytest.approx(0.3, rel=0.4)  # CR-FM-NES is wider along one direction


@pytest.mark.parametrize("name", ["snes", "xnes", "open-es", "sep-cma-es"])
def test_pairs_can_be_switched_off(name):
    config = replace(CONFIG, strategy=name, antithetic=False, population_size=31 if name != "open-es" else 32)
    strategy = make_strategy(config, START)
    population, _ = strategy.ask(jax.random.key(2), strategy.init(jax.random.key(0), START))
    values = population["a"][:, 0]
    assert len(np.unique(np.abs(values).round(5))) == config.population_size


def test_the_same_keys_give_the_same_search():
    runs = [searched(CONFIG, closeness, 3)[2] for _ in range(2)]
    jax.tree.map(np.testing.assert_array_equal, *runs)
