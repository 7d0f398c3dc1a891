"""Training an agent on any world, several seeds, with learning curves measured on the real environment's dynamics."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from tqdm import tqdm

from agents.agent import Memory, Params, to_env_action
from agents.agent_policy import AgentPolicy, save_policy
from agents.configs import AgentConfig
from agents.table import make_networks
from agents.training.compiled import make_compiled_training
from agents.training.hosted import train_hosted
from envs.errors import InputError, require
from envs.functional_evaluate import episode_returns
from envs.gymnax_adapter import make_classic_control
from experiments.worlds import FUNCTIONAL_COPIES, World

_CURVE_POINTS = 20
_CURVE_EPISODES = 10
_MEASURE = 1
"""Folded into a seed's key for its learning curve, so that it shares no draws with the training."""


@dataclass(frozen=True)
class Curve:
    """A learning curve of ``S`` seeds.

    Attributes:
        steps: steps taken in the world at each point ``[K]``.
        returns: ``[S][K]``, mean return on a compiled copy of the real dynamics (for the eye only: neither counted
            nor used), or inside the world itself where there is no such copy.
        measured_on: ``real dynamics`` or ``the world itself``.
    """

    steps: list[int]
    returns: list[list[float]]
    measured_on: str

    def to_json(self) -> dict[str, Any]:
        """Returns a JSON object, in which a return that is not known (NaN) is null."""
        returns = [[None if np.isnan(value) else value for value in row] for row in self.returns]
        return {**asdict(self), "returns": returns}


@dataclass(frozen=True)
class Training:
    """Trained policies, one a seed, and their learning curve."""

    policies: list[AgentPolicy]
    curve: Curve

    def save(self, stem: Path, seeds: Sequence[int], provenance: dict[str, Any]) -> None:
        """Writes the policies as the folders ``<stem>-seed<seed>``, replacing older ones."""
        for policy, seed in zip(self.policies, seeds, strict=True):
            save_policy(f"{stem}-seed{seed}", policy, {**provenance, "seed": seed}, overwrite=True)


def train(world: World, config: AgentConfig, seeds: Sequence[int], progress: str | None = None) -> Training:
    """Trains one agent a seed.

    Args:
        world: to train on; the same agent and the same update serve every kind.
        config: of the agent, which it thereby chooses; ``total_steps`` is for each seed.
        seeds: at least one.
        progress: title of a progress bar, or None for no bar.

    Raises:
        InputError: spaces that the agent cannot serve, a seed out of range, or a training that diverged.
    """
    for seed in seeds:
        require(0 <= seed < 2**32, "a seed", f"from 0 to {2**32 - 1}", seed)
    run = _train_compiled if world.functional else _train_hosted
    points, finals = [], []
    total = config.num_updates * config.steps_per_update * len(seeds)
    with tqdm(total=total, desc=progress, unit="step", unit_scale=True, disable=progress is None, leave=False) as bar:
        for steps, row, returns, final in run(world, config, seeds):
            points.append((steps, row, returns))
            bar.update(total * len(points) // (_num_points(config) * len(seeds)) - bar.n)
            bar.set_postfix_str(f"return {returns:.0f}", refresh=False)
            if final is not None:
                require_sound(final, seeds[row], steps)
                finals.append(final)
    policies = [AgentPolicy(world.spec, config, params) for params in finals]
    measured_on = "real dynamics" if world.spec.env_id in FUNCTIONAL_COPIES else "the world itself"
    places = sorted({point[0] for point in points})
    curves = [[point[2] for point in points if point[1] == row] for row in range(len(seeds))]
    return Training(policies, Curve(places, curves, measured_on))


Point = tuple[int, int, float, Params | None]
"""Steps, row (which seed), return there, and the final parameters at a seed's last point."""


def require_sound(params: Params, seed: int, steps: int) -> None:
    """Raises `InputError` where a policy's networks are not finite after so many ``steps``."""
    if not all(bool(jnp.isfinite(leaf).all()) for leaf in jax.tree.leaves(params)):
        raise InputError(f"the training of seed {seed} diverged: its networks are not finite after {steps:,} steps; "
                         "lower the learning rate")  # fmt: skip


def _chunks(config: AgentConfig) -> list[int]:
    """Numbers of updates between points of the curve; equal ones where that is possible, so that one is compiled."""
    size = -(-config.num_updates // _CURVE_POINTS)
    whole, rest = divmod(config.num_updates, size)
    return [size] * whole + [rest] * (rest > 0)


def _num_points(config: AgentConfig) -> int:
    return len(_chunks(config))


def _train_compiled(world: World, config: AgentConfig, seeds: Sequence[int]) -> Iterator[Point]:
    assert world.functional is not None
    env, env_params = world.functional
    training = make_compiled_training(env, config)
    advance = jax.jit(jax.vmap(training.advance, in_axes=(0, None, None, None)), static_argnums=3, donate_argnums=0)
    measure = make_measure(world.spec.env_id, config)
    keys = jax.vmap(jax.random.key)(np.array(seeds, np.uint32))
    state = jax.jit(jax.vmap(training.init, in_axes=(0, None)))(keys, env_params)
    done, chunks = 0, _chunks(config)
    for i, chunk in enumerate(chunks):
        state, metrics = advance(state, env_params, training.hyper, chunk)
        done += chunk
        inside = np.asarray(metrics["episode_return"])
        for row in range(len(seeds)):
            params = jax.tree.map(lambda x: x[row], state.learner.params)  # noqa: B023
            returns = mean_where_known(inside[row]) if measure is None else measure(params, seeds[row])
            yield done * config.steps_per_update, row, returns, params if i == len(chunks) - 1 else None


def _train_hosted(world: World, config: AgentConfig, seeds: Sequence[int]) -> Iterator[Point]:
    assert world.make_vector_env is not None
    measure = make_measure(world.spec.env_id, config)
    ends = np.cumsum(_chunks(config))
    for row, seed in enumerate(seeds):
        env = world.make_vector_env(config.num_envs)
        inside: list[float] = []
        for done, (learner, metrics) in enumerate(train_hosted(env, world.spec, config, seed), start=1):
            inside.append(metrics["episode_return"])
            if done in ends:
                returns = mean_where_known(np.array(inside)) if measure is None else measure(learner.params, seed)
                inside = []
                final = learner.params if done == ends[-1] else None
                yield done * config.steps_per_update, row, returns, final
        env.close()


def mean_where_known(returns: np.ndarray) -> float:
    """The mean over the updates in which an episode ended; NaN where none did."""
    known = returns[~np.isnan(returns)]
    return float(known.mean()) if len(known) else float("nan")


def make_measure(env_id: str, config: AgentConfig) -> Callable[[Params, int], float] | None:
    """Returns ``(params, seed) -> mean return`` on the compiled copy of the real dynamics, or None without one."""
    if env_id not in FUNCTIONAL_COPIES:
        return None
    real = make_classic_control(env_id)
    networks = make_networks(real.spec, config)

    @jax.jit
    def measure(params: Params, key: jax.Array) -> jax.Array:
        def act(observation: jax.Array, memory: Memory) -> tuple[jax.Array, Memory]:
            action, memory = networks.mode(params, observation, memory)
            return to_env_action(real.spec, action), memory

        memory = networks.initial_memory(_CURVE_EPISODES)
        return episode_returns(real, real.default_params, act, key, _CURVE_EPISODES, memory)[0].mean()

    return lambda params, seed: float(measure(params, jax.random.fold_in(jax.random.key(seed), _MEASURE)))


def provenance_of(world_path: str, training: Training) -> dict[str, Any]:
    """Returns what a policy artifact should say of its origin."""
    return {"trained_on": world_path, "curve": training.curve.to_json()}
