"""The loops of a training, on compiled dynamics, on the host, and from a log, each with about twenty points of a curve.

Each goes on from what its `TrainFolder` has, and ends bit for bit where one ends that was never interrupted.
"""

from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from tqdm import tqdm

from agents.agent import Learner, Params
from agents.configs import AgentConfig
from agents.table import make_agent, make_networks
from agents.training.compiled import TrainState, each_seed, make_compiled_training
from agents.training.finite import require_finite
from agents.training.hosted import start_hosted, train_hosted, updates_per_part
from agents.training.offline import OfflineState, logged_steps, make_offline_training
from envs.errors import InputError
from envs.functional import Params as EnvParams
from envs.gymnax_adapter import make_classic_control
from envs.logs import Log
from experiments.greedy_return import make_greedy_return
from experiments.train_folder import Point, TrainFolder
from experiments.worlds import FUNCTIONAL_COPIES, World

_CURVE_POINTS = 20
_CURVE_EPISODES = 10
_MEASURE = 1
"""Folded into a seed's key for its learning curve, so that it shares no draws with the training."""


class Telling:
    """Where the points of a curve go: a progress bar and a `TrainFolder`; ``points`` has them all."""

    def __init__(self, folder: TrainFolder, bar: tqdm):
        self.folder, self.points, self._bar = folder, list[Point](), bar

    def begin(self, row: int, points: Sequence[Point], log: str = "") -> None:
        """Takes the points that a seed has from before; what comes is written to a log of that name."""
        self.folder.begin_log(row, points, log)
        for point in points:
            if point.row == row:
                self._show(point)

    def tell(self, point: Point) -> None:
        """Takes a new point."""
        self.folder.log(point)
        self._show(point)

    def _show(self, point: Point) -> None:
        self.points.append(point)
        self._bar.set_postfix_str(f"return {point.returns:.0f}", refresh=False)
        furthest = {one.row: one.steps for one in self.points}
        self._bar.update(sum(furthest.values()) - self._bar.n)


class Start(NamedTuple):
    """What a training starts with instead of fresh networks: a learner for each seed."""

    learners: Sequence[Learner]


def train_compiled(
    world: World, config: AgentConfig, seeds: Sequence[int], start: Start | None, telling: Telling
) -> list[Params]:
    """Trains all seeds in one compiled function; returns their final parameters."""
    assert world.functional is not None
    env, env_params = world.functional
    training = make_compiled_training(env, config)

    @partial(jax.jit, static_argnums=3, donate_argnums=0)
    def advance(
        states: TrainState, env_params: EnvParams, hyper: Any, num_updates: int
    ) -> tuple[TrainState, dict[str, jax.Array]]:
        return each_seed(lambda state: training.advance(state, env_params, hyper, num_updates), states)

    measure = make_measure(world.spec.env_id, config)
    keys = jax.vmap(jax.random.key)(np.array(seeds, np.uint32))
    init = jax.jit(lambda keys, env_params: each_seed(lambda key: training.init(key, env_params), keys))

    def begin() -> Any:
        state = init(keys, env_params)
        if start is None:
            return state
        return state._replace(learner=jax.tree.map(lambda *rows: jnp.stack(rows), *start.learners))

    state, points = telling.folder.restore("all", jax.eval_shape(begin)) or (begin(), [])
    for row in range(len(seeds)):
        telling.begin(row, points)
    ends = [0, *points_at(config.num_updates, config.num_updates)]
    for before, end in list(pairwise(ends))[len(points) // len(seeds) :]:
        state, metrics = advance(state, env_params, training.hyper, end - before)
        steps, metrics = end * config.steps_per_update, jax.tree.map(np.asarray, metrics)
        for bad_steps in metrics.pop("bad_step"):
            require_finite(bad_steps, world.spec.env_id, config.num_envs, config.num_steps, before)
        together = jax.tree.map(np.array, state.learner.params)  # copied to where taking a row compiles nothing
        for row, seed in enumerate(seeds):
            params = jax.tree.map(lambda x: x[row], together)  # noqa: B023
            require_sound(params, seed, steps)
            means = {name: mean_where_known(values[row]) for name, values in metrics.items()}
            returns = means["episode_return"] if measure is None else measure(params, seed)
            points.append(Point(row, {"step": steps, "return": returns, **means}))
            telling.tell(points[-1])
        telling.folder.save("all", state, points)
    return [jax.tree.map(lambda x: x[row], state.learner.params) for row in range(len(seeds))]  # noqa: B023


def train_on_host(
    world: World, config: AgentConfig, seeds: Sequence[int], start: Start | None, telling: Telling
) -> list[Params]:
    """Trains one seed after the other; returns their final parameters."""
    from envs.threads import torch_threads  # here, since torch takes a second to import and only world models need it

    assert world.make_vector_env is not None
    agent, finals = make_agent(world.spec, config), []
    for row, seed in enumerate(seeds):
        first = start_hosted(agent, seed)
        if start is not None:
            first = first._replace(learner=start.learners[row])
        env = world.make_vector_env(config.num_envs)
        try:
            with torch_threads(1):
                finals.append(_train_row_on_host(world, env, config, row, seed, first, telling))
        finally:
            env.close()
    return finals


def _train_row_on_host(
    world: World, env: Any, config: AgentConfig, row: int, seed: int, first: Any, telling: Telling
) -> Params:
    measure = make_measure(world.spec.env_id, config)
    state, points = telling.folder.restore(f"seed-{seed}", first) or (first, [])
    telling.begin(row, points)
    ends = points_at(config.num_updates, updates_per_part(config, world.spec))
    # Copied, since the first update takes the learner's arrays away.
    params, since = jax.tree.map(jnp.copy, state.learner.params), list[dict[str, float]]()
    updates = train_hosted(env, world.spec, config, seed, state)
    for done, (learner, metrics, resumable) in enumerate(updates, start=int(state.num_updates) + 1):
        since.append(metrics)
        if done in ends:
            params = learner.params
            require_sound(params, seed, done * config.steps_per_update)
            means = {name: mean_where_known(np.array([one[name] for one in since])) for name in metrics}
            returns = means["episode_return"] if measure is None else measure(params, seed)
            points.append(Point(row, {"step": done * config.steps_per_update, "return": returns, **means}))
            since = []
            telling.tell(points[-1])
        if resumable is not None:
            telling.folder.save(f"seed-{seed}", resumable, points)
    return params


def train_on_log(
    log: Log, config: AgentConfig, row: int, seed: int, gradient_steps: int, telling: Telling
) -> OfflineState:
    """Trains one seed on logged steps alone; its steps are gradient steps."""
    training = make_offline_training(log.spec, config)
    logged = logged_steps(log.transitions(), log.spec, config)
    advance = jax.jit(training.advance, static_argnums=3, donate_argnums=0)
    measure = make_measure(log.spec.env_id, config)
    first = jax.jit(training.init)(jax.random.key(seed), logged)
    state, points = telling.folder.restore(f"log-seed-{seed}", first) or (first, [])
    telling.begin(row, points, "log-")
    for before, end in list(pairwise([0, *points_at(gradient_steps, gradient_steps)]))[len(points) :]:
        state, metrics = advance(state, logged, training.hyper, end - before)
        require_sound(state.params, seed, end)
        means = {name: mean_where_known(np.asarray(values)) for name, values in metrics.items()}
        returns = float("nan") if measure is None else measure(state.params, seed)
        points.append(Point(row, {"step": end, "return": returns, **means}))
        telling.tell(points[-1])
        telling.folder.save(f"log-seed-{seed}", state, points)
    return state


def points_at(num_updates: int, part_length: int) -> list[int]:
    """Returns the numbers of updates after which the curve has a point: about 20, the end of every part among them.

    They lie as evenly as that allows, so that few sizes are compiled.
    """
    size = -(-part_length // -(-_CURVE_POINTS * part_length // num_updates))
    ends = []
    for start in range(0, num_updates, part_length):
        stop = min(start + part_length, num_updates)
        ends += [*range(start + size, stop, size), stop]
    return ends


def require_sound(params: Params, seed: int, steps: int) -> None:
    """Raises `InputError` where a policy's networks are not finite after so many ``steps``."""
    if not all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(params)):
        raise InputError(f"the training of seed {seed} diverged: its networks are not finite after {steps:,} steps; "
                         "lower the learning rate")  # fmt: skip


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

    returns = make_greedy_return(real, networks, _CURVE_EPISODES)

    @jax.jit
    def measure(params: Params, seed: jax.Array) -> jax.Array:
        return returns(jax.random.fold_in(jax.random.key(seed), _MEASURE), params, None)[0]

    return lambda params, seed: float(measure(params, np.uint32(seed)))
