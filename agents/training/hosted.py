"""Training on the host: the same update, fed by any Gymnasium `VectorEnv`, real or imagined.

Every autoreset mode gives the same rollout: what an action led to stays apart from the next episode's start, and the
steps that a NEXT_STEP environment spends on resetting are marked invalid.

The state of an environment on the host cannot be saved in general. So a training consists of parts, in each of which
the environments start anew with a seed of that part: between two parts nothing need be known of them, and a training
that goes on from there ends bit for bit where one ends that was never interrupted. What is under way when a part ends
is cut as by a time limit, so it is bootstrapped through.
"""

from collections.abc import Callable, Iterator
from functools import cache
from typing import Any, NamedTuple

import jax
import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv

from agents.agent import Agent, Learner, Memory, PolicyNetworks, fresh_where, to_env_action
from agents.configs import AgentConfig
from agents.table import make_agent
from agents.training.finite import not_finite
from agents.training.rollout import Rollout
from envs.errors import InputError
from envs.spec import EnvSpec

_MOST_PARTS = 20
_LONG_EPISODE = 1000
"""How long episodes are taken to be where nothing limits them."""


class HostCollector:
    """Collects rollouts from a vector environment, and tallies the returns of its episodes; begin with `restart`.

    Steps are counted from ``num_taken`` on, to tell in which one an environment gave no finite number.

    Raises:
        InputError: the environment has other spaces than ``spec``, another size than the configuration, or does not
            tell its autoreset mode.
    """

    def __init__(self, env: VectorEnv, spec: EnvSpec, agent: Agent, num_taken: int = 0):
        config = agent.config
        if env.num_envs != config.num_envs:
            raise InputError(f"expected a vector environment of {config.num_envs} rows, got {env.num_envs}")
        for name, found in (
            ("observation_space", env.single_observation_space),
            ("action_space", env.single_action_space),
        ):
            if found != getattr(spec, name):
                raise InputError(f"expected {name} {getattr(spec, name)} of the vector environment, got {found}")
        self._env, self._num_steps, self._num_taken = env, config.num_steps, num_taken
        if "autoreset_mode" not in env.metadata:
            raise InputError(f"expected {env} to tell its autoreset_mode in its metadata, found none")
        self._mode = env.metadata["autoreset_mode"]
        self._networks = agent.networks
        self._spec, self._hyper, self._act = (
            spec,
            agent.hyper,
            _compiled_act(agent.act, agent.networks, config.num_steps),
        )

    def restart(self, seed: int) -> None:
        """Starts new episodes in every row, all of whose randomness comes from ``seed``."""
        num_rows = self._env.num_envs
        self._observation = np.array(self._env.reset(seed=seed)[0])
        self._resetting, self._started = np.zeros(num_rows, bool), np.ones(num_rows, bool)
        self._running = np.zeros(num_rows)
        self._memory = self._networks.initial_memory(num_rows)

    def collect(self, learner: Learner, key: jax.Array, cut: bool = False) -> tuple[Rollout, list[float]]:
        """Returns ``[num_steps, num_envs, ...]`` steps and the returns of the episodes that ended in them.

        Where it is to ``cut``, the last of them are truncated: `restart` comes next.
        """
        steps, finished, memory = [], [], self._memory
        for step in range(self._num_steps):
            before, started = self._observation, self._started
            chosen, self._memory = self._act(learner, before, self._memory, started, key, step, self._hyper)
            action = np.asarray(chosen)
            outcome = self._env.step(to_env_action(self._spec, action))
            observation, reward, terminated, truncated, info = outcome
            ended, valid = terminated | truncated, ~self._resetting
            next_observation = self._ended_in(observation, ended, info)
            _require_finite(before, reward, next_observation, self._spec, self._num_taken)
            self._num_taken += 1
            reward = reward.astype(np.float32)
            steps.append((before, action, reward, terminated, truncated, next_observation, valid, started))
            self._running += np.where(valid, reward, 0.0)
            finished.extend(self._running[ended].tolist())
            self._running[ended] = 0.0
            self._observation = self._start_of_next(observation, ended)
            self._started = ~valid if self._mode == AutoresetMode.NEXT_STEP else ended
            self._resetting = ended if self._mode == AutoresetMode.NEXT_STEP else np.zeros_like(ended)
        columns: list[Any] = [np.stack(column) for column in zip(*steps, strict=True)]
        rollout = Rollout(*columns)._replace(memory=memory)
        if cut:
            rollout.truncated[-1] |= ~rollout.terminated[-1]
        return rollout, finished

    def _ended_in(self, observation: np.ndarray, ended: np.ndarray, info: dict) -> np.ndarray:
        """What each action led to: with SAME_STEP an ended row already shows the next episode's start."""
        if self._mode != AutoresetMode.SAME_STEP or not ended.any():
            return np.array(observation)
        final = np.array(observation)
        final[ended] = np.stack(list(info["final_obs"][ended]))
        return final

    def _start_of_next(self, observation: np.ndarray, ended: np.ndarray) -> np.ndarray:
        if self._mode == AutoresetMode.DISABLED and ended.any():
            observation, _ = self._env.reset(options={"reset_mask": ended})
        return np.array(observation)


@cache
def _compiled_act(
    agent_act: Callable[..., tuple[jax.Array, Memory]], networks: PolicyNetworks, num_steps: int
) -> Callable[..., tuple[jax.Array, Memory]]:
    """Returns ``(learner, observation, memory, started, key, step, hyper) -> (action, memory)``."""

    # The key is split here, not by the caller: each operation outside of a compiled function costs as much as this.
    @jax.jit
    def act(
        learner: Learner,
        observation: jax.Array,
        memory: Memory,
        started: jax.Array,
        key: jax.Array,
        step: jax.Array,
        hyper: Any,
    ) -> tuple[jax.Array, Memory]:
        memory = fresh_where(started, memory, networks)
        return agent_act(learner, observation, memory, jax.random.split(key, num_steps)[step], hyper)

    return act


@cache
def _compiled_update(update: Callable[..., Any]) -> Callable[..., Any]:
    return jax.jit(update, donate_argnums=0)


def _require_finite(
    before: np.ndarray, reward: np.ndarray, next_observation: np.ndarray, spec: EnvSpec, step: int
) -> None:
    told = (before, reward, next_observation)
    if not all(np.isfinite(one).all() for one in told):
        fine = np.all([np.isfinite(one).reshape(len(one), -1).all(1) for one in told], axis=0)
        raise not_finite(spec.env_id, int(fine.argmin()), step)


@jax.jit
def _split(key: jax.Array) -> tuple[jax.Array, ...]:
    return tuple(jax.random.split(key, 3))


class HostedState(NamedTuple):
    """Where a training goes on from: its start, or what is between two of its parts.

    Attributes:
        learner: of the agent.
        key: source of all randomness to come.
        num_updates: updates done, int32 scalar; a multiple of `updates_per_part`.
    """

    learner: Learner
    key: jax.Array
    num_updates: jax.Array


class Update(NamedTuple):
    """What `train_hosted` yields.

    Attributes:
        learner: after the update. Its arrays are given away to the next one: use or copy what is wanted before.
        metrics: of the update, and ``episode_return``, which is NaN where no episode ended in it.
        state: where a training can go on from, at the end of a part; its learner is given away too. None elsewhere.
    """

    learner: Learner
    metrics: dict[str, Any]
    state: HostedState | None


def start_hosted(agent: Agent, seed: int) -> HostedState:
    """Returns the state of a training before its first update."""
    learner_key, key = jax.random.split(jax.random.key(seed))
    return HostedState(jax.jit(agent.init)(learner_key), key, jax.numpy.int32(0))


def updates_per_part(config: AgentConfig, spec: EnvSpec) -> int:
    """Returns the updates of a part: a training has up to 20, each of at least two whole episodes in every row."""
    steps_of_a_row = config.num_updates * config.num_steps
    num_parts = steps_of_a_row // (2 * (spec.max_episode_steps or _LONG_EPISODE))
    return -(-config.num_updates // min(max(num_parts, 1), _MOST_PARTS))


def train_hosted(
    env: VectorEnv, spec: EnvSpec, config: AgentConfig, seed: int, state: HostedState | None = None
) -> Iterator[Update]:
    """Trains an agent on a vector environment, one update an iteration.

    Args:
        env: of ``config.num_envs`` rows.
        spec: of the environment it stands for.
        config: of the agent.
        seed: fixes everything.
        state: go on from here; by default `start_hosted`. It is given away to the first update.
    """
    agent = make_agent(spec, config)
    update = _compiled_update(agent.update)
    learner, key, num_updates = state or start_hosted(agent, seed)
    collector = HostCollector(env, spec, agent, int(num_updates) * config.num_steps)
    part_length = updates_per_part(config, spec)
    for number in range(int(num_updates), config.num_updates):
        part, place = divmod(number, part_length)
        if place == 0:
            collector.restart(int(np.random.SeedSequence([seed, part]).generate_state(1)[0]) >> 1)
        last = place == part_length - 1 or number == config.num_updates - 1
        collect_key, update_key, key = _split(key)
        rollout, finished = collector.collect(learner, collect_key, cut=last)
        learner, metrics = update(learner, rollout, update_key, agent.hyper)
        metrics = {**metrics, "episode_return": float(np.mean(finished)) if finished else float("nan")}
        yield Update(learner, metrics, HostedState(learner, key, jax.numpy.int32(number + 1)) if last else None)
