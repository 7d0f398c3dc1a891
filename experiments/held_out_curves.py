"""Learning curves of agents that no evolution has seen, in a synthetic environment and directly on the real one.

Curves are measured on the compiled copy of the real dynamics; what counts in the end on Gymnasium's own environment.

Shape legend: ``S`` seeds, ``K`` points of a curve.
"""

import time
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import jax
import numpy as np
from tqdm import tqdm

from agents.agent_policy import AgentPolicy
from agents.configs import AgentConfig, DQNConfig
from agents.training.compiled import TrainState, each_seed, make_compiled_training
from envs.evaluate import evaluate
from envs.functional import FunctionalEnv, Params
from envs.functional_copies import functional_copy
from experiments.greedy_return import make_greedy_return
from experiments.statistics import bootstrap_interval, interquartile_mean
from experiments.train_loops import require_sound

POINTS = 10
"""Of the curve over the length of a training."""
SPACING = 5
"""Units between two points where a longer training goes on."""
_CURVE_EPISODES = 10
_FINAL_EPISODES = 20
_MEASURE = 1
"""Folded into the key of a seed for its curve, so that it shares no draws with the training."""


class Learned(NamedTuple):
    """What agents learned.

    Attributes:
        steps: taken at each point ``[K]``, from 0.
        returns: ``[S, K]`` mean returns on the compiled copy of the real dynamics.
        finals: ``[S]`` mean returns on Gymnasium's own environment, after each phase.
        cpu_seconds: of one agent's whole training, compilation and measuring left out.
        policy: of the agent that was best in the end.
    """

    steps: list[int]
    returns: np.ndarray
    finals: list[np.ndarray]
    cpu_seconds: float
    policy: AgentPolicy

    def middle(self) -> np.ndarray:
        """Returns the interquartile mean of the seeds ``[K]``."""
        return interquartile_mean(self.returns.T)

    def band(self) -> np.ndarray:
        """Returns its 95% bootstrap interval ``[K, 2]``."""
        return np.array([bootstrap_interval(column) for column in self.returns.T])


def longer(config: AgentConfig, factor: int) -> AgentConfig:
    """Returns settings of a training ``factor`` times as long, which begins as the short one does."""
    config = replace(config, total_steps=factor * config.total_steps)
    if isinstance(config, DQNConfig):  # whose exploration falls over a share of the steps
        return replace(config, exploration_fraction=config.exploration_fraction / factor)
    return config


def phases_of(config: AgentConfig, factor: int) -> list[list[int]]:
    """Returns the parts between two points: those of a training's own length, then those that go on beyond it.

    The unit is a tenth of the training, or an update where it has fewer than ten.
    """
    num_units = min(POINTS, config.num_updates)
    beyond = num_units * (factor - 1)
    parts = [SPACING] * (beyond // SPACING) + [beyond % SPACING] * (beyond % SPACING > 0)
    return [[1] * num_units, parts] if parts else [[1] * num_units]


def learn(
    env: FunctionalEnv,
    env_params: Params,
    config: AgentConfig,
    factor: int,
    seeds: Sequence[int],
    bar: tqdm,
) -> Learned:
    """Trains one agent a seed and measures it on the way.

    Args:
        env: to train in, a synthetic environment or the real one's compiled copy.
        env_params: its parameters.
        config: of the agent; updates that are left over when they are divided into units are not taken.
        factor: so many times the steps of ``config``.
        seeds: of the agents.
        bar: counts units, see `phases_of`.

    Raises:
        InputError: spaces that the agent cannot serve, or a training that diverged.
    """
    real = functional_copy(env.spec.env_id)
    longest, size = longer(config, factor), config.num_updates // min(POINTS, config.num_updates)
    training = make_compiled_training(env, longest)
    keys = jax.vmap(jax.random.key)(np.array(seeds, np.uint32))
    state = jax.jit(lambda keys, params: each_seed(lambda key: training.init(key, params), keys))(keys, env_params)
    advance = jax.jit(partial(_advance, training, size)).lower(state, env_params).compile()
    measure = _measure_of(make_greedy_return(real, training.networks, _CURVE_EPISODES), keys)
    policy = AgentPolicy(real.spec, longest, jax.tree.map(lambda x: x[0], state.learner.params))
    steps, returns, finals, spent = [0], [measure(state.learner.params)], list[np.ndarray](), 0.0
    for parts in phases_of(config, factor):
        for num_units in parts:
            started = time.process_time()
            for _ in range(num_units):
                state = jax.block_until_ready(advance(state, env_params))
                bar.update()
            spent += time.process_time() - started
            steps.append(steps[-1] + num_units * size * config.steps_per_update)
            returns.append(measure(state.learner.params))
        rows = _rows(state, seeds, steps[-1])
        finals.append(_finals(policy, rows, real.spec.env_id))
    policy.params = rows[int(finals[-1].argmax())]
    return Learned(steps, np.stack(returns, axis=1), finals, spent / len(seeds), policy)


def _advance(training: Any, size: int, states: TrainState, env_params: Params) -> TrainState:
    advanced: TrainState = each_seed(lambda state: training.advance(state, env_params, training.hyper, size)[0], states)
    return advanced


def _measure_of(measure: Any, keys: jax.Array) -> Any:
    """Returns ``params [S, ...] -> returns [S]``; a seed's episodes start alike at every point."""
    own = jax.vmap(jax.random.fold_in, (0, None))(keys, _MEASURE)
    run = jax.jit(lambda params: each_seed(lambda one: measure(one[0], one[1], None)[0], (own, params)))
    return lambda params: np.asarray(run(params))


def _rows(state: TrainState, seeds: Sequence[int], num_steps: int) -> list[Params]:
    together = jax.tree.map(np.array, state.learner.params)
    rows = [jax.tree.map(lambda x: x[row], together) for row in range(len(seeds))]  # noqa: B023
    for seed, params in zip(seeds, rows, strict=True):
        require_sound(params, seed, num_steps)
    return rows


def _finals(policy: AgentPolicy, rows: Sequence[Params], env_id: str) -> np.ndarray:
    """One policy is given each seed's parameters in turn, so that it is compiled once."""
    scores = []
    for params in rows:
        policy.params = params
        scores.append(evaluate(policy, env_id, _FINAL_EPISODES).returns.mean())
    return np.array(scores)
