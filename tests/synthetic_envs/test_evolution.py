"""Evolution: exact ranks, no drift without selection, the known optimum of toys, and one compilation."""

from collections.abc import Iterator
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from envs.errors import InputError
from synthetic_envs.configs import EvolutionConfig
from synthetic_envs.evolution import Generation, MemberFn, Outcome, Problem, evolve
from synthetic_envs.strategies import make_strategy

TARGET = {"a": np.array([1.0, -2.0], np.float32), "b": np.array([[0.5]], np.float32)}
START = jax.tree.map(jnp.zeros_like, TARGET)
SMALL = EvolutionConfig(num_generations=5, population_size=8, num_checks=3)


def closeness(key: jax.Array, params: dict[str, jax.Array], generation: jax.Array) -> Outcome:
    distances = jax.tree.map(lambda found, target: ((found - target) ** 2).sum(), params, TARGET)
    value = -sum(jax.tree.leaves(distances))
    return Outcome(value, value, jnp.int32(10))


def constant(value: float) -> MemberFn:
    return lambda key, params, generation: Outcome(jnp.float32(value), jnp.float32(value), jnp.int32(1))


def noisy(key: jax.Array, params: dict[str, jax.Array], generation: jax.Array) -> Outcome:
    noise = jax.random.normal(key)
    return Outcome(noise, noise, jnp.int32(1))


def first_number(key: jax.Array, params: jax.Array, generation: jax.Array) -> Outcome:
    return Outcome(params[0], params[0], jnp.int32(1))


def run(member: MemberFn, config: EvolutionConfig = SMALL, seed: int = 0, start=START) -> list[Generation]:
    return list(evolve(Problem(start, (member,)), config, seed))


def centre(generation: Generation, config: EvolutionConfig = SMALL, start=START):
    return make_strategy(config, start).centre(generation.state.strategy)


@pytest.mark.parametrize("value", [0.0, 500.0, np.nan, -np.inf])
def test_without_selection_the_centre_does_not_move_at_all(value):
    generations = run(constant(value))
    assert len(generations) == 5
    for generation in generations:
        jax.tree.map(np.testing.assert_array_equal, centre(generation), START)
        assert not generation.selected


def test_it_stops_without_selection_where_it_is_told_to():
    config = replace(SMALL, without_selection="stop")
    with pytest.raises(InputError, match="the fitness of generation 0 tells no candidate from another"):
        run(constant(1.0), config)
    assert len(run(noisy, config)) == 5


def test_the_known_optimum_is_reached():
    config = EvolutionConfig(num_generations=80, population_size=32, num_checks=1)
    generations = run(closeness, config)
    state = generations[-1].state
    for found in (centre(generations[-1], config), state.best):
        jax.tree.map(lambda one, target: np.testing.assert_allclose(one, target, atol=0.02), found, TARGET)
    assert generations[0].check[0] == pytest.approx(-5.25)
    assert generations[-1].check[0] > -0.001
    assert state.best_check == max(one.check[0] for one in generations)


def test_a_generation_tells_what_it_was_drawn_from_and_what_it_cost():
    """Without randomness the checks are the score of the centre, and every member takes ten steps."""
    before = START
    for number, generation in enumerate(run(closeness)):
        assert (generation.number, generation.agents) == (number, (0,))
        assert (generation.fitness.shape, generation.score.shape, generation.check.shape) == ((8,), (8,), (3,))
        np.testing.assert_allclose(generation.check, closeness(None, before, None).score, rtol=1e-5)
        assert generation.real_steps == (8 + 3) * 10
        assert isinstance(generation.real_steps, int)
        before = centre(generation)


def test_members_come_in_mirrored_pairs_about_the_centre():
    before, start = jnp.array([3.0]), jnp.array([3.0])
    for generation in run(first_number, seed=1, start=start):
        first, second = np.split(generation.fitness, 2)
        np.testing.assert_allclose(first + second, 2 * np.repeat(before, 4), rtol=1e-5)
        assert len(np.unique(generation.fitness)) == 8
        before = centre(generation, start=start)


@pytest.mark.parametrize(("shared", "num_different"), [("none", 11), ("pairs", 7), ("all", 4)])
def test_random_numbers_are_shared_as_asked(shared, num_different):
    for generation in run(noisy, replace(SMALL, common_noise=shared)):
        values = np.concatenate([generation.fitness, generation.check])
        assert len(np.unique(values)) == num_different
        if shared == "pairs":
            np.testing.assert_array_equal(*np.split(generation.fitness, 2))


def test_the_same_seed_gives_the_same_evolution():
    once, again, other = (run(noisy, seed=seed) for seed in (3, 3, 4))
    for one, two, three in zip(once, again, other, strict=True):
        jax.tree.map(np.testing.assert_array_equal, one, two)
        assert (one.fitness != three.fitness).all()


def test_it_goes_on_from_a_state_as_if_it_had_never_stopped():
    whole, problem = run(noisy), Problem(START, (noisy,))
    rest = list(evolve(problem, SMALL, 0, whole[1].state))
    jax.tree.map(np.testing.assert_array_equal, whole[2:], rest)
    assert list(evolve(problem, SMALL, 0, whole[-1].state)) == []


def test_the_number_of_jobs_changes_nothing_but_rounding():
    for one, other in zip(run(noisy), run(noisy, replace(SMALL, num_jobs=4)), strict=True):
        np.testing.assert_allclose(one.fitness, other.fitness, rtol=1e-6)
        assert one.real_steps == other.real_steps == 11


def lower(key: jax.Array, params: jax.Array, generation: jax.Array) -> Outcome:
    return Outcome(-params[0], 100 - params[0], jnp.int32(1))


def test_agents_take_turns_or_all_judge_together():
    problem, start = Problem(jnp.array([3.0]), (first_number, lower)), jnp.array([3.0])
    turns = list(evolve(problem, SMALL, 0))
    assert [one.agents for one in turns] == [(0,), (1,), (0,), (1,), (0,)]
    config = replace(SMALL, agents="together")
    both = list(evolve(problem, config, 0))
    for one in both:
        assert one.agents == (0, 1)
        assert not one.selected  # what one likes the other does not, whatever their scales
        np.testing.assert_allclose(one.check, (3 + 97) / 2)
        assert one.real_steps == 22
    np.testing.assert_array_equal(centre(both[-1], config, start), start)
    np.testing.assert_allclose(both[-1].state.checks, [3, 97])


def test_the_best_centre_has_served_every_agent():
    """It is not known before each has been asked."""
    turns = list(evolve(Problem(jnp.array([3.0]), (first_number, lower)), SMALL, 0))
    assert turns[0].state.best_check == -np.inf
    assert float(turns[1].state.best_check) == pytest.approx((turns[0].check[0] + turns[1].check[0]) / 2)


def test_a_check_that_is_not_finite_is_never_the_best():
    def diverges(key, params, generation):
        return Outcome(params[0], jnp.where(generation == 2, jnp.nan, generation * 1.0), jnp.int32(1))

    generations = run(diverges, start=jnp.zeros(1))
    assert [float(one.state.best_check) for one in generations] == [0, 1, 1, 3, 4]


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
    def counted(key: jax.Array, params: dict[str, jax.Array], generation: jax.Array) -> Outcome:
        traces.append(1)
        return closeness(key, params, generation)

    traces: list[int] = []
    generations = evolve(Problem(START, (counted,)), SMALL, seed=0)
    assert isinstance(generations, Iterator)
    assert len(list(generations)) == 5
    assert len(traces) == 1


def test_every_agent_in_rotation_must_have_its_turn_and_time_to_meet_the_target():
    problem, config = Problem(START, (closeness,) * 3), replace(SMALL, target=0.0, patience=2)
    with pytest.raises(InputError, match="patience of at least 3, one generation for each agent in rotation, got 2"):
        next(evolve(problem, config, 0))
    with pytest.raises(InputError, match=r"num_generations of at least 3, one generation for each agent .*, got 2"):
        next(evolve(problem, replace(SMALL, num_generations=2), 0))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"population_size": 7}, "population_size even"),
        ({"population_size": 0}, "population_size even"),
        ({"sigma": 0.0}, "sigma above 0"),
        ({"num_generations": 0}, "num_generations of at least 1"),
        ({"num_checks": 0}, "num_checks of at least 1"),
        ({"patience": 0}, "patience of at least 1"),
        ({"num_jobs": 0}, "num_jobs of at least 1"),
        ({"num_jobs": 81}, "num_jobs of at most 80"),
        ({"learning_rate": float("inf")}, "learning_rate above 0"),
        ({"strategy": "cma"}, "strategy to be one of snes, xnes"),
        ({"common_noise": "some"}, "common_noise to be one of none, pairs, all"),
        ({"agents": "one"}, "agents to be one of rotate, together"),
        ({"without_selection": "go"}, "without_selection to be one of continue, stop"),
        ({"strategy": "pgpe", "antithetic": False}, "antithetic with pgpe on"),
        ({"antithetic": False, "common_noise": "pairs"}, "common_noise by pairs antithetic"),
    ],
)
def test_settings_out_of_range_are_named(settings, message):
    with pytest.raises(InputError, match=message):
        EvolutionConfig(**settings)
