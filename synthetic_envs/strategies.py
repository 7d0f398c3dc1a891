"""Evolution strategies of evosax (0.3) behind one face that maximises and does not drift where nothing is selected.

SNES and xNES: Wierstra et al. 2014. OpenES: Salimans et al. 2017. PGPE: Sehnke et al. 2010. Sep-CMA-ES: Ros and Hansen
2008. CR-FM-NES: Nomura and Ono 2022.

Departures: fitness is shaped by ranks in which equals share (`synthetic_envs.shaping`), and a generation whose fitness
tells nothing apart leaves the state as it was: plain utilities would let SNES drift and Sep-CMA-ES collapse. SNES, xNES
and Sep-CMA-ES may draw mirrored pairs, as the others always do.

Shape legend: ``P`` population, ``D`` number of parameters.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from evosax.algorithms import CR_FM_NES, PGPE, SNES, Open_ES, Sep_CMA_ES, xNES

from envs.functional import Params, strongly_typed
from synthetic_envs.configs import EvolutionConfig
from synthetic_envs.shaping import centred_ranks, tells_apart, tied_weights

StrategyState = Any
"""State of a search: a pytree of arrays."""


class Strategy(NamedTuple):
    """A search as pure functions.

    Attributes:
        init: ``(key, start) -> state``; the search begins around the parameters ``start``, a pytree.
        ask: ``(key, state) -> (population, state)``, a pytree with leaves ``[P, ...]``.
        tell: ``(key, population, fitness [P], state) -> state``; larger fitness is better, what is not finite is worst,
            and where all are equal the state stays as it is.
        centre: ``state -> parameters`` in the middle of the search.
    """

    init: Callable[[jax.Array, Params], StrategyState]
    ask: Callable[[jax.Array, StrategyState], tuple[Params, StrategyState]]
    tell: Callable[[jax.Array, Params, jax.Array, StrategyState], StrategyState]
    centre: Callable[[StrategyState], Params]


def make_strategy(config: EvolutionConfig, solution: Params) -> Strategy:
    """Returns the search that ``config`` names, for parameters shaped as ``solution``."""
    algorithm, settings = _MAKERS[config.strategy](config, solution)

    def init(key: jax.Array, start: Params) -> StrategyState:
        # evosax starts with weak types, which the first generation makes firm: left so, all would be compiled twice.
        return strongly_typed(algorithm.init(key, start, settings))

    def ask(key: jax.Array, state: StrategyState) -> tuple[Params, StrategyState]:
        population, state = algorithm.ask(key, state, settings)
        if config.antithetic and config.strategy in _MIRRORED_HERE:
            population, state = _mirror(population, state, algorithm.get_mean(state))
        return population, state

    def tell(key: jax.Array, population: Params, fitness: jax.Array, state: StrategyState) -> StrategyState:
        # evosax minimises; it also keeps the best cost, which an infinite one would spoil for ever.
        cost = -jnp.where(jnp.isfinite(fitness), fitness, jnp.finfo(jnp.float32).min)
        after, _ = algorithm.tell(key, population, cost, state, settings)
        selected = tells_apart(fitness)
        return jax.tree.map(lambda new, old: jnp.where(selected, new, old), strongly_typed(after), state)

    return Strategy(init, ask, tell, algorithm.get_mean)


_MIRRORED_HERE = ("snes", "xnes", "sep-cma-es")


def _mirror(population: Params, state: StrategyState, centre: Params) -> tuple[Params, StrategyState]:
    """Replaces the second half of the population by the mirror image of the first."""
    population = jax.tree.map(
        lambda p, m: jnp.concatenate([(half := p[: len(p) // 2]), 2 * m - half]), population, centre
    )
    if hasattr(state, "z"):  # xNES remembers the draws themselves
        half = state.z[: len(state.z) // 2]
        state = state.replace(z=jnp.concatenate([half, -half]))
    return population, state


def _by_ranks(population: Any, cost: jax.Array, state: Any, params: Any) -> jax.Array:
    del population, state, params
    return centred_ranks(-cost)


def _by_cost_ranks(population: Any, cost: jax.Array, state: Any, params: Any) -> jax.Array:
    """For those that descend: large is bad. Scaled so that a change of ranks counts as in [-0.5, 0.5]."""
    del population, state, params
    return 0.25 * len(cost) * centred_ranks(cost)


def _by_weights(population: Any, cost: jax.Array, state: Any, params: Any) -> jax.Array:
    del population, state
    return tied_weights(-cost, params.weights)


def _snes(config: EvolutionConfig, solution: Params) -> tuple[Any, Any]:
    made = SNES(config.population_size, solution, fitness_shaping_fn=_by_ranks)
    return made, made.default_params.replace(std_init=config.sigma)


def _xnes(config: EvolutionConfig, solution: Params) -> tuple[Any, Any]:
    made = xNES(config.population_size, solution, fitness_shaping_fn=_by_ranks)
    return made, made.default_params.replace(std_init=jnp.sqrt(config.sigma))  # it multiplies two of them


def _open_es(config: EvolutionConfig, solution: Params) -> tuple[Any, Any]:
    made = Open_ES(
        config.population_size,
        solution,
        use_antithetic_sampling=config.antithetic,
        optimizer=optax.adam(config.learning_rate),
        std_schedule=optax.constant_schedule(config.sigma),
        fitness_shaping_fn=_by_cost_ranks,
    )
    return made, made.default_params


def _pgpe(config: EvolutionConfig, solution: Params) -> tuple[Any, Any]:
    made = PGPE(
        config.population_size, solution, optimizer=optax.adam(config.learning_rate), fitness_shaping_fn=_by_cost_ranks
    )
    return made, made.default_params.replace(std_init=config.sigma)


def _sep_cma_es(config: EvolutionConfig, solution: Params) -> tuple[Any, Any]:
    made = Sep_CMA_ES(config.population_size, solution, fitness_shaping_fn=_by_weights)
    return made, made.default_params.replace(std_init=jnp.float32(config.sigma))


def _cr_fm_nes(config: EvolutionConfig, solution: Params) -> tuple[Any, Any]:
    made = CR_FM_NES(config.population_size, solution, fitness_shaping_fn=_by_weights)
    return made, made.default_params.replace(std_init=config.sigma)


_MAKERS: dict[str, Callable[[EvolutionConfig, Params], tuple[Any, Any]]] = {
    "snes": _snes,
    "xnes": _xnes,
    "open-es": _open_es,
    "pgpe": _pgpe,
    "sep-cma-es": _sep_cma_es,
    "cr-fm-nes": _cr_fm_nes,
}
