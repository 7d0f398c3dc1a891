"""Training on the host: the same update, fed by any Gymnasium `VectorEnv`, real or imagined.

Every autoreset mode gives the same rollout: what an action led to stays apart from the next episode's start, and the
steps that a NEXT_STEP environment spends on resetting are marked invalid.
"""

from collections.abc import Iterator
from functools import partial
from typing import Any

import jax
import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv

from agents.actor_critic import ActorCritic, Params, make_actor_critic, to_env_action
from agents.configs import PPOConfig
from agents.ppo import Hyperparameters, Learner, init_learner, update
from agents.rollout import Rollout
from envs.errors import InputError
from envs.spec import EnvSpec


class HostCollector:
    """Collects rollouts from a vector environment, and tallies the returns of its episodes.

    Raises:
        InputError: the environment has other spaces than ``spec``, another size than the configuration, or does not
            tell its autoreset mode.
    """

    def __init__(self, env: VectorEnv, spec: EnvSpec, networks: ActorCritic, config: PPOConfig, seed: int):
        if env.num_envs != config.num_envs:
            raise InputError(f"expected a vector environment of {config.num_envs} rows, got {env.num_envs}")
        for name, found in (
            ("observation_space", env.single_observation_space),
            ("action_space", env.single_action_space),
        ):
            if found != getattr(spec, name):
                raise InputError(f"expected {name} {getattr(spec, name)} of the vector environment, got {found}")
        self._env, self._config = env, config
        if "autoreset_mode" not in env.metadata:
            raise InputError(f"expected {env} to tell its autoreset_mode in its metadata, found none")
        self._mode = env.metadata["autoreset_mode"]
        self._observation = np.array(env.reset(seed=seed)[0])
        self._resetting = np.zeros(env.num_envs, bool)
        self._running = np.zeros(env.num_envs)
        self._sample = jax.jit(partial(_sample, networks=networks, spec=spec))

    def collect(self, params: Params, key: jax.Array) -> tuple[Rollout, list[float]]:
        """Returns ``[num_steps, num_envs, ...]`` steps and the returns of the episodes that ended in them."""
        steps, finished = [], []
        for step_key in jax.random.split(key, self._config.num_steps):
            action, env_action = self._sample(params, self._observation, step_key)
            observation, reward, terminated, truncated, info = self._env.step(np.asarray(env_action))
            _require_finite(observation, reward, self._env)
            ended, valid = terminated | truncated, ~self._resetting
            next_observation = self._ended_in(observation, ended, info)
            before = self._observation
            steps.append((before, action, reward.astype(np.float32), terminated, truncated, next_observation, valid))
            self._running += np.where(valid, reward, 0.0)
            finished.extend(self._running[ended].tolist())
            self._running[ended] = 0.0
            self._observation = self._start_of_next(observation, ended)
            self._resetting = ended if self._mode == AutoresetMode.NEXT_STEP else np.zeros_like(ended)
        columns: list[Any] = [np.stack(column) for column in zip(*steps, strict=True)]
        return Rollout(*columns), finished

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


def _sample(
    params: Params, observation: jax.Array, key: jax.Array, networks: ActorCritic, spec: EnvSpec
) -> tuple[jax.Array, jax.Array]:
    action = networks.sample(params, observation, key)
    return action, to_env_action(spec, action)


def _require_finite(observation: np.ndarray, reward: np.ndarray, env: VectorEnv) -> None:
    if not (np.isfinite(observation).all() and np.isfinite(reward).all()):
        rows = ~(np.isfinite(observation).reshape(len(reward), -1).all(1) & np.isfinite(reward))
        raise InputError(f"expected finite observations and rewards from {env}, got others in row {rows.argmax()}")


def train_hosted(
    env: VectorEnv, spec: EnvSpec, config: PPOConfig, seed: int
) -> Iterator[tuple[Learner, dict[str, float]]]:
    """Trains PPO on a vector environment, one update an iteration.

    Yields:
        The learner after each update and its metrics; ``episode_return`` is NaN where no episode ended.
    """
    networks = make_actor_critic(spec, config)
    key = jax.random.key(seed)
    learner_key, key = jax.random.split(key)
    learner, hyper = init_learner(networks, learner_key), Hyperparameters.of(config)
    collector = HostCollector(env, spec, networks, config, seed)
    update_fn = jax.jit(update, static_argnames=("networks", "config"))
    for _ in range(config.num_updates):
        collect_key, update_key, key = jax.random.split(key, 3)
        rollout, finished = collector.collect(learner.params, collect_key)
        learner, metrics = update_fn(learner, rollout, update_key, networks=networks, config=config, hyper=hyper)
        mean_return = float(np.mean(finished)) if finished else float("nan")
        yield learner, {**{k: float(v) for k, v in metrics.items()}, "episode_return": mean_return}
