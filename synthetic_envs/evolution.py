"""Evolution of a functional environment's parameters (Ferreira et al. 2022, Liesen et al. 2024).

What is evolved for enters as functions: a `MemberFn` trains an agent inside a candidate environment and measures it on
the real environment's dynamics. Members of a generation are evaluated by an `Executor`, in this process or in several.
Everything random follows from the seed and the generation's number, so that a search that goes on from a state ends
where one ends that was never interrupted.

Departures: mirrored sampling, ranks in which equals share (`synthetic_envs.strategies`); fresh agents trained in the
search's centre ride along in every generation as a held-out check, and the centre that did best there is kept.

Shape legend: ``P`` population, ``C`` held-out checks, ``M`` members of a job, ``K`` agents.
"""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from envs.errors import InputError
from envs.functional import Params
from synthetic_envs.configs import EvolutionConfig, require_rotation
from synthetic_envs.executor import EvaluateFn, Executor, InProcess, Job
from synthetic_envs.shaping import centred_ranks, tells_apart
from synthetic_envs.strategies import Strategy, StrategyState, make_strategy


class Outcome(NamedTuple):
    """What became of a member; scalars, or ``[M]`` of several.

    Attributes:
        fitness: what is selected by; larger is better.
        score: mean return on the real dynamics, in the environment's own unit.
        real_steps: steps taken on the real dynamics, int32.
    """

    fitness: jax.Array
    score: jax.Array
    real_steps: jax.Array


MemberFn = Callable[[jax.Array, Params, jax.Array], Outcome]
"""``(key, env_params, generation) -> Outcome``: trains in one environment and measures; pure, so that it is vmapped."""


class Problem(NamedTuple):
    """What is evolved, and for whom.

    Attributes:
        start: parameters around which the search begins, a pytree.
        member_fns: one an agent.
    """

    start: Params
    member_fns: tuple[MemberFn, ...]


class EvolutionState(NamedTuple):
    """Where a search stands between two generations; a pytree of arrays.

    Attributes:
        strategy: of the search distribution.
        generation: number of the next one, int32.
        num_met: generations in a row whose check has met the target, int32.
        checks: latest mean check of each agent ``[K]``; -inf where there was none yet.
        best_check: highest mean of ``checks`` so far, float32.
        best: the centre that reached it, parameters.
    """

    strategy: StrategyState
    generation: jax.Array
    num_met: jax.Array
    checks: jax.Array
    best_check: jax.Array
    best: Params


class Generation(NamedTuple):
    """What a generation brought.

    Attributes:
        number: counted from 0.
        agents: which agents were trained in it.
        fitness: ``[P]``; of several agents their mean rank.
        score: ``[P]`` mean returns on the real dynamics; of several agents their mean.
        check: ``[C]`` real returns of fresh agents trained in the centre it was drawn from; of several agents the mean.
        real_steps: steps taken on the real dynamics.
        selected: whether its fitness told anything apart; if not, the search stayed where it was.
        state: after it.
    """

    number: int
    agents: tuple[int, ...]
    fitness: np.ndarray
    score: np.ndarray
    check: np.ndarray
    real_steps: int
    selected: bool
    state: EvolutionState


def start_evolution(problem: Problem, config: EvolutionConfig, seed: int) -> EvolutionState:
    """Returns the state before the first generation."""
    key = jax.random.fold_in(jax.random.key(seed), 2**31)
    strategy = make_strategy(config, problem.start)
    checks = jnp.full(len(problem.member_fns), -jnp.inf)
    start = jax.tree.map(jnp.asarray, problem.start)
    zero = jnp.int32(0)
    return EvolutionState(strategy.init(key, start), zero, zero, checks, jnp.float32(-jnp.inf), start)


def evolve(
    problem: Problem,
    config: EvolutionConfig,
    seed: int,
    state: EvolutionState | None = None,
    executor: Executor | None = None,
) -> Iterator[Generation]:
    """Evolves environment parameters, one generation an iteration.

    Args:
        problem: what is evolved.
        config: of the search.
        seed: fixes everything.
        state: to go on from; by default `start_evolution`.
        executor: evaluates members with what `make_evaluate` returns for the same arguments; by default this process.

    Yields:
        Generations, until ``config.num_generations`` are done or the held-out check has met ``config.target`` often
        enough in a row.

    Raises:
        InputError: a generation's fitness tells nothing apart, and ``config`` says to stop then; see also
            `synthetic_envs.configs.require_rotation`.
    """
    num_agents = len(problem.member_fns)
    require_rotation(config, num_agents)
    executor = executor or InProcess(make_evaluate(problem, config, seed))
    tell = jax.jit(_make_tell(make_strategy(config, problem.start), config, seed))
    state = start_evolution(problem, config, seed) if state is None else state
    while int(state.generation) < config.num_generations and not _done(state, config):
        number = int(state.generation)
        agents = tuple(range(num_agents)) if config.agents == "together" else (number % num_agents,)
        outcomes = _evaluated(state, agents, config, executor)
        state, selected = tell(state, outcomes, jnp.asarray(agents))
        yield _generation(number, agents, outcomes, config, bool(selected), state)
        if not selected and config.without_selection == "stop":
            raise InputError(f"the fitness of generation {number} tells no candidate from another: all equal, or none "
                             "finite; a longer or easier training inside, or a larger sigma, may help")  # fmt: skip


def make_evaluate(problem: Problem, config: EvolutionConfig, seed: int) -> EvaluateFn:
    """Returns what evaluates jobs of this search: drawing, training and measuring as one compiled function an agent."""
    strategy, size = make_strategy(config, problem.start), config.population_size

    def members_of(state: EvolutionState, members: jax.Array, agent: int) -> Outcome:
        population, _ = strategy.ask(_keys(seed, state.generation).ask, state.strategy)
        centre = strategy.centre(state.strategy)

        def one(member: jax.Array) -> Outcome:
            place = jnp.minimum(member, size - 1)
            params = jax.tree.map(lambda p, c: jnp.where(member < size, p[place], c), population, centre)
            key = jax.random.fold_in(_keys(seed, state.generation).member, _noise_of(member, config))
            return problem.member_fns[agent](jax.random.fold_in(key, agent), params, state.generation)

        return jax.vmap(one)(members)

    @partial(jax.jit, static_argnums=2)
    def evaluate(state: EvolutionState, members: jax.Array, agent: int) -> Outcome:
        return _over_devices(partial(members_of, agent=agent), len(members))(state, members)

    return lambda state, job: evaluate(state, job.members, job.agent)


class _Keys(NamedTuple):
    ask: jax.Array
    member: jax.Array
    tell: jax.Array


def _keys(seed: int, generation: jax.Array) -> _Keys:
    return _Keys(*jax.random.split(jax.random.fold_in(jax.random.key(seed), generation), 3))


def _noise_of(member: jax.Array, config: EvolutionConfig) -> jax.Array:
    """Returns the number that a member's random numbers follow from; checks always have their own."""
    size = config.population_size
    shared = {"none": member, "pairs": member % max(size // 2, 1), "all": 0 * member}[config.common_noise]
    return jnp.where(member < size, shared, member)


def _over_devices(members_of: Callable[..., Outcome], num_members: int) -> Callable[..., Outcome]:
    """Returns ``(state, members [M]) -> outcomes`` that spreads the members over the devices, where they divide evenly.

    Each device runs loops of its own, which need not wait for those of the others.
    """
    devices = jax.devices()
    if len(devices) == 1 or num_members % len(devices):
        return members_of
    mesh, spread = jax.sharding.Mesh(np.array(devices), "members"), jax.sharding.PartitionSpec("members")
    whole = jax.sharding.PartitionSpec()
    return jax.shard_map(members_of, mesh=mesh, in_specs=(whole, spread), out_specs=spread, check_vma=False)


def _evaluated(state: EvolutionState, agents: tuple[int, ...], config: EvolutionConfig, executor: Executor) -> Outcome:
    """Returns the outcomes of all members with each of ``agents``, ``[len(agents), P + C]``."""
    num_members = config.population_size + config.num_checks
    size = -(-num_members // config.num_jobs)
    padded = np.arange(size * config.num_jobs, dtype=np.int32) % num_members  # jobs of one size are compiled once
    jobs = [Job(agent, members) for agent in agents for members in padded.reshape(config.num_jobs, size)]
    done = executor.run(state, jobs)
    whole = jax.tree.map(lambda *parts: np.concatenate(parts).reshape(len(agents), -1)[:, :num_members], *done)
    return Outcome(*whole)


def _make_tell(
    strategy: Strategy, config: EvolutionConfig, seed: int
) -> Callable[[EvolutionState, Outcome, jax.Array], tuple[EvolutionState, jax.Array]]:
    size = config.population_size

    def tell(state: EvolutionState, outcomes: Outcome, agents: jax.Array) -> tuple[EvolutionState, jax.Array]:
        keys, centre = _keys(seed, state.generation), strategy.centre(state.strategy)
        population, asked = strategy.ask(keys.ask, state.strategy)
        fitness = joint_fitness(outcomes.fitness[:, :size])
        check = outcomes.score[:, size:].mean(1)
        checks = state.checks.at[agents].set(jnp.where(jnp.isfinite(check), check, -jnp.inf))
        better = checks.mean() > state.best_check
        met = jnp.array(False) if config.target is None else (check >= config.target).all()
        return EvolutionState(
            strategy=strategy.tell(keys.tell, population, fitness, asked),
            generation=state.generation + 1,
            num_met=jnp.where(met, state.num_met + 1, 0),
            checks=checks,
            best_check=jnp.where(better, checks.mean(), state.best_check),
            best=jax.tree.map(lambda new, old: jnp.where(better, new, old), centre, state.best),
        ), tells_apart(fitness)

    return tell


def joint_fitness(fitness: jax.Array) -> jax.Array:
    """Returns one fitness ``[P]`` of those of ``K`` agents ``[K, P]``: itself, or the mean of centred ranks."""
    return fitness[0] if len(fitness) == 1 else jax.vmap(centred_ranks)(fitness).mean(0)


def _done(state: EvolutionState, config: EvolutionConfig) -> bool:
    return config.target is not None and int(state.num_met) >= config.patience


def _generation(
    number: int, agents: tuple[int, ...], outcomes: Any, config: EvolutionConfig, selected: bool, state: EvolutionState
) -> Generation:
    size, score = config.population_size, outcomes.score.mean(0)
    fitness = np.asarray(joint_fitness(outcomes.fitness[:, :size]))
    real_steps = int(outcomes.real_steps.sum(dtype=np.int64))
    return Generation(number, agents, fitness, score[:size], score[size:], real_steps, selected, state)
