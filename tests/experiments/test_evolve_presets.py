"""Ways to evolve: complete configurations for every environment with compiled dynamics, larger bodies included."""

import jax
import pytest

from envs.compiled_ids import CLASSIC_CONTROL, has_box_actions
from envs.errors import InputError
from envs.spec import spec_of
from experiments.evolve import make_problem
from experiments.evolve_presets import evolve_preset

NAMES = ("specialist", "general", "paper")


@pytest.mark.parametrize("env_id", CLASSIC_CONTROL)
def test_every_way_serves_every_classic_environment(env_id):
    assert has_box_actions(env_id) == hasattr(spec_of(env_id).action_space, "low")
    for name in NAMES:
        config = evolve_preset(env_id, name)
        for stage in config.stages:
            assert len(make_problem(config, stage).member_fns) == len(stage.agents)
            assert (stage.search.target is not None) == (env_id == "CartPole-v1" and name != "paper")


@pytest.mark.slow
def test_the_papers_way_serves_larger_bodies():
    """Of a member only shapes are computed, and for one body: a generation wants a GPU."""
    for body in ("ant", "halfcheetah", "pusher", "swimmer", "hopper"):
        config = evolve_preset(f"brax/{body}", "paper")
        problem = make_problem(config, config.stages[0])
        assert len(problem.member_fns) == 4
    outcome = jax.eval_shape(problem.member_fns[0], jax.random.key(0), problem.start, 0)
    assert (outcome.fitness.shape, outcome.real_steps.dtype) == ((), "int32")


def test_an_unknown_way_is_told_with_the_nearest():
    with pytest.raises(InputError, match="unknown way to evolve 'generall'; did you mean 'general'"):
        evolve_preset("CartPole-v1", "generall")
