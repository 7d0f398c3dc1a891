"""What the algorithms that learn from a replay buffer share: keeping experience, drawing from it, when to learn.

An algorithm is a `ReplayAlgorithm`: how to explore, and one gradient step on a minibatch. Where the minibatch comes
from is not its matter: a buffer that fills as it acts (`replay_agent`), or a log (`agents/training/offline.py`).

Shape legend: ``T`` time, ``B`` environments, ``N`` rows of a minibatch, ``C`` capacity of the buffer, ``n`` steps
summed in a transition, ``O`` and ``A`` the shapes of an observation and of an action.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from agents.agent import Agent, Brain, Memory, Params, ReplayAlgorithm
from agents.configs import ReplayConfig
from agents.networks.normalised import policy_of
from agents.replay import priorities as by_error
from agents.replay.n_step import n_step_transitions
from agents.replay.priorities import Priorities
from agents.replay.ring import Replay, Transitions, add, draw, empty_replay, take
from agents.training.normalisation import Normaliser, init_normaliser
from agents.training.rollout import Rollout


class ReplayHyper(NamedTuple):
    """The numeric settings of the replay, each a scalar; see `ReplayConfig` for their meaning."""

    gamma: jax.Array
    priority_exponent: jax.Array
    importance_exponent: jax.Array

    @staticmethod
    def of(config: ReplayConfig) -> "ReplayHyper":
        return ReplayHyper(*(jnp.float32(getattr(config, name)) for name in ReplayHyper._fields))


class Learner(NamedTuple):
    """What an update changes.

    Attributes:
        brain: of the algorithm.
        replay: the experience.
        pending: the latest ``n - 1`` steps ``[n - 1, B, ...]``, whose sums are not complete yet.
        normaliser: running moments.
        priorities: of what is in the buffer; None where it is drawn uniformly.
    """

    brain: Brain
    replay: Replay
    pending: Rollout
    normaliser: Normaliser
    priorities: Priorities | None

    @property
    def params(self) -> Params:
        """Of the policy, with what it needs to know of the normalisation."""
        return {**self.brain.params, **self.normaliser.policy_params()}


def replay_agent(algorithm: ReplayAlgorithm) -> Agent:
    """Returns the agent that acts, keeps what it meets, and takes the algorithm's gradient steps."""
    config, shape = algorithm.config, algorithm.observation.shape

    def act(
        learner: Learner, observation: jax.Array, memory: Memory, key: jax.Array, hyper: Any
    ) -> tuple[jax.Array, Memory]:
        seen = learner.normaliser.observations(observation)
        return algorithm.explore(learner.brain, seen, key, learner.replay.num_added, hyper), memory

    return Agent(
        config=config,
        networks=policy_of(algorithm.networks, config.normalise_observations, shape),
        hyper=algorithm.hyper,
        init=lambda key: init_learner(algorithm, algorithm.init_brain(key)),
        act=act,
        update=lambda learner, rollout, key, hyper: update(learner, rollout, key, hyper, algorithm),
        single_steps=algorithm,
    )


def init_learner(algorithm: ReplayAlgorithm, brain: Brain) -> Learner:
    """Returns a learner without experience that starts with ``brain``."""
    config = algorithm.config
    replay = empty_replay(config.capacity, algorithm.observation, algorithm.action)
    rows = (config.n_step - 1, config.num_envs)

    def none(example: jax.Array) -> jax.Array:
        return jnp.zeros((*rows, *example.shape), example.dtype)

    observation, flag, reward = none(algorithm.observation), none(jnp.bool_(False)), none(jnp.float32(0))
    pending = Rollout(observation, none(algorithm.action), reward, flag, flag, observation, flag, flag)
    priorities = None if config.priorities == "none" else by_error.init_priorities(config.capacity, config.priorities)
    return Learner(brain, replay, pending, init_normaliser(config, algorithm.observation.shape), priorities)


def update(
    learner: Learner, rollout: Rollout, key: jax.Array, hyper: Any, algorithm: ReplayAlgorithm
) -> tuple[Learner, dict[str, jax.Array]]:
    """Keeps a rollout ``[T, B, ...]`` and, once there are ``warmup_steps``, takes ``gradient_steps``.

    Returns:
        The new learner and the means over the gradient steps of the algorithm's metrics (NaN where none were taken).
    """
    config = algorithm.config
    learner = keep(learner, rollout, hyper, config)
    ready = learner.replay.num_added >= config.warmup_steps
    draw_key, learn_key = jax.random.split(key)
    if learner.priorities is None:
        places = draw(learner.replay, draw_key, (config.gradient_steps, config.batch_size))
    else:
        places = jax.random.split(draw_key, config.gradient_steps)  # not known yet: priorities change with each step

    def one_step(
        carry: tuple[Brain, Priorities | None], step: tuple[jax.Array, jax.Array]
    ) -> tuple[tuple[Brain, Priorities | None], dict[str, jax.Array]]:
        (brain, priorities), (place, step_key) = carry, step
        weight = jnp.ones(config.batch_size)
        if priorities is not None:
            exponent = importance_exponent(learner.replay.num_added, hyper, config)
            place, weight = by_error.draw(priorities, place, config.batch_size, exponent)
        batch = seen_by_networks(learner.normaliser, take(learner.replay, place))
        brain, error, metrics = step_if(ready, brain, batch, weight, step_key, hyper, algorithm)
        if priorities is not None:
            place = jnp.where(ready, place, learner.replay.capacity)  # beyond the end: nothing changes
            priorities = by_error.update(priorities, place, error, hyper.replay.priority_exponent)
        return (brain, priorities), metrics

    steps = (places, jax.random.split(learn_key, config.gradient_steps))
    (brain, priorities), metrics = jax.lax.scan(one_step, (learner.brain, learner.priorities), steps)
    return learner._replace(brain=brain, priorities=priorities), jax.tree.map(jnp.mean, metrics)


def importance_exponent(num_added: jax.Array, hyper: Any, config: ReplayConfig) -> jax.Array:
    """Returns how much of the priorities' bias is taken back: more and more, and all of it at the end of training."""
    start = hyper.replay.importance_exponent
    return start + (1.0 - start) * jnp.minimum(num_added / config.total_steps, 1.0)


def keep(learner: Learner, rollout: Rollout, hyper: Any, config: ReplayConfig) -> Learner:
    """Returns the learner after a rollout ``[T, B, ...]``, its steps in the buffer where their sums are complete."""
    normaliser = learner.normaliser.observe(rollout).observe_rewards(rollout, hyper.replay.gamma)
    rollout = rollout._replace(memory=())
    steps = jax.tree.map(lambda old, new: jnp.concatenate([old, new]), learner.pending, rollout)
    num_starts = len(rollout.reward)
    transitions = n_step_transitions(steps, config.n_step, hyper.replay.gamma)
    flat = jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), transitions)
    replay, places = add(learner.replay, flat, steps.valid[:num_starts].reshape(-1))
    priorities = None if learner.priorities is None else by_error.add(learner.priorities, places)
    pending = jax.tree.map(lambda x: x[num_starts:], steps)
    return Learner(learner.brain, replay, pending, normaliser, priorities)


def seen_by_networks(normaliser: Normaliser, batch: Transitions) -> Transitions:
    """Returns transitions normalised as the networks and losses see them."""
    return batch._replace(
        observation=normaliser.observations(batch.observation),
        reward=normaliser.rewards(batch.reward),
        next_observation=normaliser.observations(batch.next_observation),
    )


def step_if(
    ready: jax.Array,
    brain: Brain,
    batch: Transitions,
    weight: jax.Array,
    key: jax.Array,
    hyper: Any,
    algorithm: ReplayAlgorithm,
) -> tuple[Brain, jax.Array, dict[str, jax.Array]]:
    """Takes a gradient step where ``ready``; else returns the same brain, errors of 0 and metrics of NaN."""

    def wait() -> tuple[Brain, jax.Array, dict[str, jax.Array]]:
        return brain, jnp.zeros(len(weight)), {name: jnp.float32(jnp.nan) for name in algorithm.metrics}

    return jax.lax.cond(ready, lambda: algorithm.gradient_step(brain, batch, weight, key, hyper), wait)
