"""Who evaluates members: the same outcomes from one process and from several, and a killed one is told."""

import os
import signal
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from envs.errors import InputError
from synthetic_envs.configs import EvolutionConfig
from synthetic_envs.evolution import Outcome, Problem, evolve, make_evaluate
from synthetic_envs.executor import InProcess, Job, ProcessPool

START = jnp.zeros(3)
CONFIG = EvolutionConfig(num_generations=3, population_size=6, num_checks=2, num_jobs=3)
SEED = 5


def member(key: jax.Array, params: jax.Array, generation: jax.Array) -> Outcome:
    noise = jax.random.normal(key)
    return Outcome(noise - ((params - 1) ** 2).sum() + generation, noise, jnp.int32(1))


def problem() -> Problem:
    return Problem(START, (member, member))


def evaluator(config: EvolutionConfig):
    return make_evaluate(problem(), config, SEED)


def deadly(state, job: Job):
    os.kill(os.getpid(), signal.SIGKILL)


def make_deadly():
    return deadly


@pytest.mark.slow
def test_several_processes_find_what_one_finds_bit_for_bit():
    alone = list(evolve(problem(), CONFIG, SEED))
    pool = ProcessPool(partial(evaluator, CONFIG), 2)
    try:
        together = list(evolve(problem(), CONFIG, SEED, executor=pool))
    finally:
        pool.close()
    assert len(alone) == len(together) == 3
    jax.tree.map(np.testing.assert_array_equal, alone, together)


def test_a_job_can_be_done_again_and_its_members_in_any_order():
    evaluate = evaluator(CONFIG)
    state = next(iter(evolve(problem(), CONFIG, SEED))).state
    run = InProcess(evaluate).run
    first, again, other = run(state, [Job(0, np.array(m, np.int32)) for m in ([1, 4, 7], [1, 4, 7], [7, 1, 4])])
    jax.tree.map(np.testing.assert_array_equal, first, again)
    jax.tree.map(lambda a, b: np.testing.assert_array_equal(a, b[[1, 2, 0]]), first, other)
    assert not np.array_equal(first.score, run(state, [Job(1, np.array([1, 4, 7], np.int32))])[0].score)


@pytest.mark.slow
def test_a_process_that_was_killed_is_told():
    pool = ProcessPool(make_deadly, 1)
    try:
        with pytest.raises(InputError, match="a process that evaluated candidates was killed"):
            pool.run(None, [Job(0, np.zeros(1, np.int32))])
    finally:
        pool.close()
