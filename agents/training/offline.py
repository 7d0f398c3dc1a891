"""Learning from logs: gradient steps on minibatches of logged transitions, compiled whole, and how it goes on online.

Whatever learns from single steps can learn so. The functions of `OfflineTraining` are pure and not yet jitted: vmap
them over seeds or hyperparameters (the log stays one), then jit once.

To go on by collecting: `start_online` makes the learner of a training (`agents/training/compiled.py`, or hosted) from
what was learned, its replay holding the log's transitions; `start_with_policy` starts PPO, A2C or REINFORCE with the
policy of behaviour cloning or IQL. Either takes the place of the learner in that training's first state:
``training.init(key, env_params)._replace(learner=...)``, ``start_hosted(agent, seed)._replace(learner=...)``.

Shape legend: ``N`` logged steps.
"""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from agents.agent import Agent, Brain, Learner, Params, PolicyNetworks, ReplayAlgorithm
from agents.algorithms.off_policy import init_learner, seen_by_networks
from agents.algorithms.ppo import Learner as OnPolicyLearner
from agents.configs import AgentConfig, ReplayConfig
from agents.replay import priorities as by_error
from agents.replay.logged import transitions_of
from agents.replay.ring import Transitions, add, empty_replay
from agents.table import make_agent
from agents.training.normalisation import Normaliser, init_normaliser
from agents.training.rollout import Rollout
from envs.errors import InputError, require
from envs.logs import Transitions as Steps
from envs.spec import EnvSpec


class Logged(NamedTuple):
    """A log as it is learned from.

    Attributes:
        transitions: ``[N, ...]``; their ``discount`` is 1, or 0 after a termination, so that gamma can be traced.
        normaliser: the moments of all of it.
    """

    transitions: Transitions
    normaliser: Normaliser


class OfflineState(NamedTuple):
    """Everything that a training from a log carries on.

    Attributes:
        brain: of the algorithm.
        normaliser: the log's.
        key: source of all randomness to come.
    """

    brain: Brain
    normaliser: Normaliser
    key: jax.Array

    @property
    def params(self) -> Params:
        """Of the policy, with what it needs to know of the normalisation."""
        return {**self.brain.params, **self.normaliser.policy_params()}


class OfflineTraining(NamedTuple):
    """A training from a log as pure functions.

    Attributes:
        networks: of the agent's policy.
        hyper: the numeric settings of its configuration.
        init: ``(key, logged) -> OfflineState``.
        advance: ``(state, logged, hyper, num_steps) -> (state, metrics)``; ``num_steps`` gradient steps, static; every
            metric is ``[num_steps]``.
    """

    networks: PolicyNetworks
    hyper: Any
    init: Callable[[jax.Array, Logged], OfflineState]
    advance: Callable[[OfflineState, Logged, Any, int], tuple[OfflineState, dict[str, jax.Array]]]


def logged_steps(steps: Steps, spec: EnvSpec, config: AgentConfig) -> Logged:
    """Returns steps ``[N, ...]`` in the order they were recorded in, with the moments that ``config`` asks for.

    Raises:
        InputError: there are none, or numbers that are not finite.
    """
    require(len(steps.reward) >= 1, "a log to learn from", "to hold at least one step", len(steps.reward))
    for name in ("observation", "action", "reward", "next_observation"):
        if not np.isfinite(getattr(steps, name)).all():
            raise InputError(f"expected finite numbers in the {name} column of a log of {spec.env_id}, got others")
    transitions = transitions_of(steps, spec, gamma=1.0)
    if not config.normalise_observations and not config.normalise_rewards:
        return Logged(transitions, init_normaliser(config, transitions.observation.shape[1:]))
    return Logged(transitions, _moments_of(transitions, steps.terminated | steps.truncated, config))


def _moments_of(transitions: Transitions, ended: np.ndarray, config: AgentConfig) -> Normaliser:
    """The log taken for one long rollout of one environment."""
    observation, action, reward, next_observation = (
        x[:, None] for x in (*transitions[:3], transitions.next_observation)
    )
    flags = jnp.asarray(ended)[:, None]
    rollout = Rollout(
        observation, action, reward, flags, jnp.zeros_like(flags), next_observation, jnp.ones_like(flags), flags
    )
    empty = init_normaliser(config, observation.shape[2:])
    if empty.returns is not None:
        empty = empty._replace(returns=jnp.zeros(1))
    normaliser = jax.jit(lambda: empty.observe(rollout).observe_rewards(rollout, jnp.float32(config.gamma)))()
    # The episodes of environments that it may be carried on with are new ones.
    return normaliser._replace(returns=init_normaliser(config, observation.shape[2:]).returns)


def make_offline_training(spec: EnvSpec, config: AgentConfig) -> OfflineTraining:
    """Returns an agent's training from a log as pure functions.

    Raises:
        InputError: it cannot serve the spaces, does not learn from single steps, or sums several (``n_step``).
    """
    agent = make_agent(spec, config)
    algorithm = _single_steps(agent)
    require(algorithm.config.n_step == 1, f"{config.label}'s n_step", "of 1 where it learns from a log",
            algorithm.config.n_step)  # fmt: skip
    batch_size = algorithm.config.batch_size

    def init(key: jax.Array, logged: Logged) -> OfflineState:
        brain_key, key = jax.random.split(key)
        return OfflineState(algorithm.init_brain(brain_key), logged.normaliser, key)

    def advance(
        state: OfflineState, logged: Logged, hyper: Any, num_steps: int
    ) -> tuple[OfflineState, dict[str, jax.Array]]:
        draw_key, learn_key, key = jax.random.split(state.key, 3)
        num_logged = len(logged.transitions.reward)
        weight = jnp.ones(batch_size)

        def one_step(brain: Brain, step_keys: tuple[jax.Array, jax.Array]) -> tuple[Brain, dict[str, jax.Array]]:
            rows = jax.random.randint(step_keys[0], (batch_size,), 0, num_logged)
            batch = jax.tree.map(lambda x: x[rows], logged.transitions)
            batch = batch._replace(discount=hyper.replay.gamma * batch.discount)
            batch = seen_by_networks(state.normaliser, batch)
            brain, _, metrics = algorithm.gradient_step(brain, batch, weight, step_keys[1], hyper)
            return brain, metrics

        keys = (jax.random.split(draw_key, num_steps), jax.random.split(learn_key, num_steps))
        brain, metrics = jax.lax.scan(one_step, state.brain, keys)
        return state._replace(brain=brain, key=key), metrics

    return OfflineTraining(agent.networks, agent.hyper, init, advance)


def train_offline(
    steps: Steps, spec: EnvSpec, config: AgentConfig, seed: int, num_steps: int, chunk: int = 1000
) -> Iterator[tuple[OfflineState, dict[str, float]]]:
    """Trains an agent on logged steps.

    Args:
        steps: ``[N, ...]``, in the order they were recorded in.
        spec: of the environment that was recorded.
        config: of the agent.
        seed: fixes everything.
        num_steps: gradient steps, rounded up to whole chunks.
        chunk: gradient steps between two yields.

    Yields:
        The state after each chunk and the chunk's mean metrics. A state's arrays are given away to the next chunk: use
        or copy what is wanted of it before.

    Raises:
        InputError: as `logged_steps` and `make_offline_training`.
    """
    require(num_steps >= 1, "gradient steps on a log", "of at least 1", num_steps)
    training, logged = make_offline_training(spec, config), logged_steps(steps, spec, config)
    advance = jax.jit(training.advance, static_argnums=3, donate_argnums=0)
    state = jax.jit(training.init)(jax.random.key(seed), logged)
    for _ in range(-(-num_steps // chunk)):
        state, metrics = advance(state, logged, training.hyper, chunk)
        yield state, {name: float(values.mean()) for name, values in metrics.items()}


def start_online(spec: EnvSpec, config: ReplayConfig, state: OfflineState, logged: Logged | None = None) -> Learner:
    """Returns a learner that goes on by collecting with what was learned from a log.

    Args:
        spec: of the environment.
        config: of the agent that goes on: the one that learned, or one with the same networks (TD3 after TD3+BC).
        state: what was learned; it is copied.
        logged: what the replay buffer is filled with first, the latest steps if it cannot hold all; None to start with
            an empty one. Logged steps count as collected, so that no warm-up comes after a log that is long enough.

    Raises:
        InputError: the agent does not learn from single steps, or has other networks or another normalisation.
    """
    algorithm = _single_steps(make_agent(spec, config))
    fresh = init_learner(algorithm, jax.eval_shape(algorithm.init_brain, jax.random.key(0)))
    _require_alike(fresh.brain, state.brain, config, "networks")
    # Fresh arrays, each for itself: a learner may be given away.
    brain, pending = jax.tree.map(jnp.copy, (state.brain, fresh.pending))
    normaliser = _going_on(fresh.normaliser, state.normaliser, config)
    learner = fresh._replace(brain=brain, normaliser=normaliser, pending=pending)
    if logged is None:
        return learner
    num_kept = min(len(logged.transitions.reward), config.buffer_size)
    kept = jax.tree.map(lambda x: x[-num_kept:], logged.transitions)
    kept = kept._replace(discount=jnp.float32(config.gamma) * kept.discount)
    capacity = min(config.buffer_size, num_kept + config.capacity)
    empty = empty_replay(capacity, algorithm.observation, algorithm.action)
    replay, places = add(empty, kept, jnp.ones(num_kept, bool))
    if config.priorities == "none":
        return learner._replace(replay=replay)
    priorities = by_error.add(by_error.init_priorities(capacity, config.priorities), places)
    return learner._replace(replay=replay, priorities=priorities)


def start_with_policy(spec: EnvSpec, config: AgentConfig, state: OfflineState, seed: int) -> Learner:
    """Returns a learner of PPO, A2C or REINFORCE whose policy (and value function, if IQL learned it) comes from a log.

    The optimiser starts anew. What behaviour cloning learned has no value function: it starts at random.

    Args:
        spec: of the environment.
        config: of the agent that goes on, with the hidden layers, activation and normalisation of the one that learned.
        state: what was learned.
        seed: of what is new.

    Raises:
        InputError: the agent has other networks or another normalisation.
    """
    learner = make_agent(spec, config).init(jax.random.key(seed))
    starts = isinstance(learner, OnPolicyLearner)
    require(starts, "an agent that starts with a policy", "to be PPO, A2C or REINFORCE", config.label)
    _require_alike(learner.weights, state.brain.params, config, "networks")
    normaliser = _going_on(learner.normaliser, state.normaliser, config)
    return learner._replace(weights=jax.tree.map(jnp.copy, state.brain.params), normaliser=normaliser)


def _going_on(fresh: Normaliser, learned: Normaliser, config: AgentConfig) -> Normaliser:
    """The moments that were learned, for the environments of the training that goes on."""
    _require_alike(fresh[:2], learned[:2], config, "normalisation")
    return jax.tree.map(jnp.copy, learned._replace(returns=fresh.returns))


def _single_steps(agent: Agent) -> ReplayAlgorithm:
    if agent.single_steps is None:
        raise InputError(f"{agent.config.label} needs whole rollouts: it cannot learn from the single steps of a log")
    return agent.single_steps


def _require_alike(expected: Any, found: Any, config: AgentConfig, what: str) -> None:
    shapes = [jax.tree.map(lambda x: (jnp.shape(x), str(x.dtype)), tree) for tree in (expected, found)]
    if shapes[0] != shapes[1]:
        raise InputError(f"expected the {what} that {config.label} is set to, got what was learned with others")
