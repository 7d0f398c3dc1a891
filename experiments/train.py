"""Training an agent on any world, several seeds, with learning curves measured on the real environment's dynamics."""

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from tqdm import tqdm

from agents.agent import Memory, Params, to_env_action
from agents.agent_policy import AgentPolicy, save_policy
from agents.configs import AgentConfig
from agents.table import make_agent, make_networks
from agents.training.compiled import make_compiled_training
from agents.training.hosted import start_hosted, train_hosted, updates_per_part
from envs.errors import InputError, require
from envs.functional_evaluate import episode_returns
from envs.gymnax_adapter import make_classic_control
from experiments.train_folder import Point, TrainFolder
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
    """Trained policies, one a seed, their learning curve, and all that was measured at its points."""

    policies: list[AgentPolicy]
    curve: Curve
    points: list[Point] = field(default_factory=list)

    def save(self, stem: Path, seeds: Sequence[int], provenance: dict[str, Any]) -> None:
        """Writes the policies as the folders ``<stem>-seed<seed>``, replacing older ones."""
        for policy, seed in zip(self.policies, seeds, strict=True):
            save_policy(f"{stem}-seed{seed}", policy, {**provenance, "seed": seed}, overwrite=True)


def train(
    world: World,
    config: AgentConfig,
    seeds: Sequence[int],
    progress: str | None = None,
    folder: TrainFolder | None = None,
) -> Training:
    """Trains one agent a seed.

    Args:
        world: to train on; the same agent and the same update serve every kind.
        config: of the agent, which it thereby chooses; ``total_steps`` is for each seed.
        seeds: at least one.
        progress: title of a progress bar, or None for no bar.
        folder: keeps checkpoints and metrics, and has those of the training that is resumed.

    Raises:
        InputError: spaces that the agent cannot serve, a seed out of range, a checkpoint of another training, or a
            training that diverged.
    """
    for seed in seeds:
        require(0 <= seed < 2**32, "a seed", f"from 0 to {2**32 - 1}", seed)
    run, folder = _train_compiled if world.functional else _train_hosted, folder or TrainFolder()
    total, points = config.num_updates * config.steps_per_update, list[Point]()
    with tqdm(total=total * len(seeds), desc=progress, unit="step", unit_scale=True, disable=progress is None,
              leave=False) as bar, closing(folder):  # fmt: skip

        def show(point: Point) -> None:
            points.append(point)
            bar.set_postfix_str(f"return {point.returns:.0f}", refresh=False)
            bar.update(sum(max(p.steps for p in points if p.row == row) for row in {p.row for p in points}) - bar.n)

        finals = run(world, config, seeds, folder, show)
    policies = [AgentPolicy(world.spec, config, params) for params in finals]
    measured_on = "real dynamics" if world.spec.env_id in FUNCTIONAL_COPIES else "the world itself"
    places = sorted({point.steps for point in points})
    curves = [[point.returns for point in points if point.row == row] for row in range(len(seeds))]
    return Training(policies, Curve(places, curves, measured_on), points)


def require_sound(params: Params, seed: int, steps: int) -> None:
    """Raises `InputError` where a policy's networks are not finite after so many ``steps``."""
    if not all(bool(jnp.isfinite(leaf).all()) for leaf in jax.tree.leaves(params)):
        raise InputError(f"the training of seed {seed} diverged: its networks are not finite after {steps:,} steps; "
                         "lower the learning rate")  # fmt: skip


def _points_at(num_updates: int, part_length: int) -> list[int]:
    """Returns the numbers of updates after which the curve has a point: about 20, the end of every part among them.

    They lie as evenly as that allows, so that few sizes are compiled.
    """
    size = -(-part_length // -(-_CURVE_POINTS * part_length // num_updates))
    ends = []
    for start in range(0, num_updates, part_length):
        stop = min(start + part_length, num_updates)
        ends += [*range(start + size, stop, size), stop]
    return ends


def _train_compiled(
    world: World, config: AgentConfig, seeds: Sequence[int], folder: TrainFolder, show: Callable[[Point], None]
) -> list[Params]:
    """Trains all seeds side by side; returns their final parameters."""
    assert world.functional is not None
    env, env_params = world.functional
    training = make_compiled_training(env, config)
    advance = jax.jit(jax.vmap(training.advance, in_axes=(0, None, None, None)), static_argnums=3, donate_argnums=0)
    init = jax.jit(jax.vmap(training.init, in_axes=(0, None)))
    measure = make_measure(world.spec.env_id, config)
    keys = jax.vmap(jax.random.key)(np.array(seeds, np.uint32))
    state, points = folder.restore("all", jax.eval_shape(init, keys, env_params)) or (init(keys, env_params), [])
    for row in range(len(seeds)):
        folder.begin_log(row, points)
    for point in points:
        show(point)
    ends = [0, *_points_at(config.num_updates, config.num_updates)]
    for start, end in list(pairwise(ends))[len(points) // len(seeds) :]:
        state, metrics = advance(state, env_params, training.hyper, end - start)
        steps, metrics = end * config.steps_per_update, jax.tree.map(np.asarray, metrics)
        for row, seed in enumerate(seeds):
            params = jax.tree.map(lambda x: x[row], state.learner.params)  # noqa: B023
            require_sound(params, seed, steps)
            means = {name: mean_where_known(values[row]) for name, values in metrics.items()}
            returns = means["episode_return"] if measure is None else measure(params, seed)
            points.append(Point(row, {"step": steps, "return": returns, **means}))
            folder.log(points[-1])
            show(points[-1])
        folder.save("all", state, points)
    return [jax.tree.map(lambda x: x[row], state.learner.params) for row in range(len(seeds))]  # noqa: B023


def _train_hosted(
    world: World, config: AgentConfig, seeds: Sequence[int], folder: TrainFolder, show: Callable[[Point], None]
) -> list[Params]:
    """Trains one seed after the other; returns their final parameters."""
    assert world.make_vector_env is not None
    measure = make_measure(world.spec.env_id, config)
    agent = make_agent(world.spec, config)
    like = jax.eval_shape(lambda: start_hosted(agent, 0))
    ends = _points_at(config.num_updates, updates_per_part(config, world.spec))
    finals = []
    for row, seed in enumerate(seeds):
        restored = folder.restore(f"seed-{seed}", like)
        start, points = restored or (start_hosted(agent, seed), [])
        folder.begin_log(row, points)
        for point in points:
            show(point)
        env, since = world.make_vector_env(config.num_envs), list[dict[str, float]]()
        params = jax.tree.map(jnp.copy, start.learner.params)
        first = int(start.num_updates) + 1
        updates = train_hosted(env, world.spec, config, seed, start)
        for done, (learner, metrics, state) in enumerate(updates, start=first):
            since.append(metrics)
            if done in ends:
                means = {name: mean_where_known(np.array([one[name] for one in since])) for name in metrics}
                returns = means["episode_return"] if measure is None else measure(learner.params, seed)
                require_sound(learner.params, seed, done * config.steps_per_update)
                points.append(Point(row, {"step": done * config.steps_per_update, "return": returns, **means}))
                since = []
                folder.log(points[-1])
                show(points[-1])
            if state is not None:
                folder.save(f"seed-{seed}", state, points)
            if done == config.num_updates:
                params = learner.params
        env.close()
        finals.append(params)
    return finals


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
