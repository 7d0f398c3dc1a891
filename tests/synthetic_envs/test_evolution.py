"""Evolution: exact ranks, no drift without selection, the known optimum of toys, and one compilation."""

from collections.abc import Iterator
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from envs.errors import InputError
from synthetic_envs.configs import EvolutionConfig
from synthetic_envs.evolution import Generation, ScoreFn, centred_ranks, evolve

TARGET = {"a": np.array([1.0, -2.0], np.float32), "b": np.array([[0.5]], np.float32)}
START = jax.tree.map(jnp.zeros_like, TARGET)
SMALL = EvolutionConfig(num_generations=5, population_size=8, num_checks=3)


def train(key: jax.Array, params: dict[str, jax.Array]) -> dict[str, jax.Array]:
    """The agent is the environment's parameters themselves."""
    return params


def closeness(key: jax.Array, agent: dict[str, jax.Array]) -> tuple[jax.Array, jax.Array]:
    distances = jax.tree.map(lambda found, target: ((found - target) ** 2).sum(), agent, TARGET)
    return -sum(jax.tree.leaves(distances)), jnp.int32(10)


def constant(value: float) -> ScoreFn:
    return lambda key, agent: (jnp.float32(value), jnp.int32(1))


def noisy(key: jax.Array, agent: dict[str, jax.Array]) -> tuple[jax.Array, jax.Array]:
    return jax.random.normal(key), jnp.int32(1)


def run(score: ScoreFn, config: EvolutionConfig = SMALL, seed: int = 0) -> list[Generation]:
    return list(evolve(START, train, score, config, seed))


@pytest.mark.parametrize(
    ("fitness", "expected"),
    [
        ([3.0, 1.0], [1.0, -1.0]),
        ([10.0, -5.0, 2.0], [1.0, -1.0, 0.0]),
        ([1.0, 4.0, 2.0, 3.0], [-0.75, 0.75, -0.25, 0.25]),
        ([1.0, 2.0, 2.0, 3.0], [-1.0, 0.0, 0.0, 1.0]),
        ([5.0, 5.0, 5.0, 1.0], [1 / 3, 1 / 3, 1 / 3, -1.0]),
        ([np.nan, 1.0, 2.0], [-1.0, 0.0, 1.0]),
        ([np.inf, 1.0, 2.0], [-1.0, 0.0, 1.0]),
        ([-np.inf, np.nan, 0.0, 0.0], [-0.5, -0.5, 0.5, 0.5]),
        ([7.0] * 5, [0.0] * 5),
        ([np.nan] * 4, [0.0] * 4),
        ([1.0], [0.0]),
    ],
    ids=str,
)
def test_ranks_by_hand(fitness, expected):
    np.testing.assert_allclose(centred_ranks(jnp.array(fitness)), expected, rtol=1e-6)


def test_ranks_are_centred_sum_to_two_and_ignore_scale():
    fitness = jax.random.normal(jax.random.key(0), (64,)).round(1)
    ranks = centred_ranks(fitness)
    assert ranks.sum() == pytest.approx(0, abs=1e-6)
    assert jnp.abs(ranks).sum() == pytest.approx(2, rel=1e-6)
    np.testing.assert_array_equal(ranks, centred_ranks(100 * fitness - 7))


@pytest.mark.parametrize("value", [0.0, 500.0, np.nan, -np.inf])
def test_without_selection_the_centre_does_not_move_at_all(value):
    generations = run(constant(value))
    assert len(generations) == 5
    for generation in generations:
        jax.tree.map(np.testing.assert_array_equal, generation.centre, START)


def test_without_selection_the_spread_does_not_change_either():
    def train_and_tell(key: jax.Array, params: jax.Array) -> jax.Array:
        jax.debug.callback(lambda row: spreads.append(np.asarray(row).std()), params)
        return params

    spreads: list[np.ndarray] = []
    config = EvolutionConfig(num_generations=30, population_size=2, num_checks=1, sigma=0.3)
    for _ in evolve(jnp.zeros(4096), train_and_tell, constant(1.0), config, seed=0):
        pass
    jax.effects_barrier()
    # Each generation is a mirrored pair and the centre itself, which has no spread; standard errors are 1.1%.
    np.testing.assert_allclose(np.reshape(spreads, (30, 3)).max(1), 0.3, rtol=0.05)


def test_the_known_optimum_is_reached():
    config = EvolutionConfig(num_generations=80, population_size=32, num_checks=1)
    generations = run(closeness, config)
    jax.tree.map(
        lambda found, target: np.testing.assert_allclose(found, target, atol=0.02), generations[-1].centre, TARGET
    )
    assert generations[0].check[0] == pytest.approx(-5.25)
    assert generations[-1].check[0] > -0.001


def test_a_generation_tells_what_it_was_drawn_from_and_what_it_cost():
    """Without randomness the checks are the score of the centre, and every member takes ten steps."""
    for generation in run(closeness):
        assert (generation.fitness.shape, generation.check.shape) == ((8,), (3,))
        np.testing.assert_allclose(generation.check, closeness(None, generation.centre)[0], rtol=1e-5)
        assert generation.real_steps == (8 + 3) * 10
        assert isinstance(generation.real_steps, int)


def test_members_come_in_mirrored_pairs_about_the_centre():
    def value(key: jax.Array, agent: jax.Array) -> tuple[jax.Array, jax.Array]:
        return agent[0], jnp.int32(1)

    for generation in evolve(jnp.array([3.0]), train, value, SMALL, seed=1):
        first, second = np.split(generation.fitness, 2)
        np.testing.assert_allclose(first + second, 2 * np.repeat(generation.centre, 4), rtol=1e-5)
        assert len(np.unique(generation.fitness)) == 8


def test_every_member_trains_and_is_scored_with_randomness_of_its_own():
    def train_noise(key: jax.Array, params: dict[str, jax.Array]) -> jax.Array:
        return jax.random.normal(key)

    def score_noise(key: jax.Array, agent: jax.Array) -> tuple[jax.Array, jax.Array]:
        return agent + 1000 * (agent == jax.random.normal(key)), jnp.int32(1)

    generations = list(evolve(START, train_noise, score_noise, SMALL, seed=0))
    values = np.concatenate([np.concatenate([one.fitness, one.check]) for one in generations])
    assert len(np.unique(values)) == len(values)
    assert values.max() < 100  # training and scoring draw differently


def test_the_same_seed_gives_the_same_evolution():
    once, again, other = (run(noisy, seed=seed) for seed in (3, 3, 4))
    for one, two, three in zip(once, again, other, strict=True):
        jax.tree.map(np.testing.assert_array_equal, one, two)
        assert (one.fitness != three.fitness).all()


@pytest.mark.parametrize("patience", [1, 2, 3])
def test_it_stops_when_the_checks_have_met_the_target_in_a_row(patience):
    plain = EvolutionConfig(num_generations=40, population_size=2, num_checks=4)
    checks = [generation.check.mean() for generation in run(noisy, plain, seed=1)]
    met = [check >= 0 for check in checks]
    expected = next(i for i in range(patience, 40) if all(met[i - patience : i]))
    assert sum(met[:expected]) > patience or patience == 1  # a shorter row came before
    config = replace(plain, target=0.0, patience=patience)
    assert [generation.check.mean() for generation in run(noisy, config, seed=1)] == checks[:expected]


def test_training_is_compiled_once():
    def train_and_count(key: jax.Array, params: dict[str, jax.Array]) -> dict[str, jax.Array]:
        traces.append(1)
        return params

    traces: list[int] = []
    generations = evolve(START, train_and_count, closeness, SMALL, seed=0)
    assert isinstance(generations, Iterator)
    assert len(list(generations)) == 5
    assert len(traces) == 1


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"population_size": 7}, "population_size even"),
        ({"population_size": 0}, "population_size even"),
        ({"sigma": 0.0}, "sigma above 0"),
        ({"num_generations": 0}, "num_generations of at least 1"),
        ({"num_checks": 0}, "num_checks of at least 1"),
        ({"patience": 0}, "patience of at least 1"),
    ],
)
def test_settings_out_of_range_are_named(settings, message):
    with pytest.raises(InputError, match=message):
        EvolutionConfig(**settings)
